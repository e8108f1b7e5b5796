import json
import pickle
from typing import ClassVar

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidScene, UnknownScene
from longdwm_env.scenes import open_scenes
from longdwm_env.scenes.media import image_file as pictures
from longdwm_env.scenes.media.media_scenes import video_starts_s
from longdwm_env.types import Camera, Intrinsics


def frames_shown(images) -> np.ndarray:
    """Frame numbers of the grey test videos."""
    return (images.mean(axis=(1, 2, 3)) - 20) / 2


class TestPhotograph:
    def test_one_scene_without_a_past(self, photo, camera):
        source = open_scenes(photo)
        scene = source.scene(0)
        assert (len(source), scene.key, scene.camera, scene.actors, scene.road_map) == (
            1,
            "photo.png",
            None,
            None,
            None,
        )
        assert (scene.log.num_past, scene.log.num_future, scene.log.ego_poses) == (0, 0, None)
        images = scene.log.images(-3, 4, camera)
        assert images.shape == (4, 30, 40, 3)
        assert (images == images[0]).all()
        assert images[0, 15, 5].tolist() == [255, 0, 0]
        assert images[0, 15, 35].tolist() == [0, 0, 255]

    @pytest.mark.parametrize(("first", "count"), [(0, 2), (1, 1), (0, 0), (-2, 4)])
    def test_nothing_is_made_up_beyond_the_record(self, photo, camera, first, count):
        with pytest.raises(ValueError, match="record has"):
            open_scenes(photo).scene(0).log.images(first, count, camera)

    def test_wide_pictures_are_cropped_about_the_middle(self, tmp_path):
        image = np.zeros((40, 160, 3), np.uint8)
        image[:, 60:100] = 255
        cv2.imwrite(str(tmp_path / "wide.png"), image)
        square = Camera(Intrinsics.from_fov(1.0, (40, 40)))
        assert (open_scenes(tmp_path).scene(0).log.images(0, 1, square) == 255).all()

    @pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "I;16"])
    def test_depths_and_channels(self, tmp_path, camera, mode):
        grey = np.full((30, 40), 255 if mode == "1" else 200, np.uint8)
        picture = (
            Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(grey).convert(mode)
        )
        picture.save(tmp_path / "grey.png")
        image = open_scenes(tmp_path / "grey.png").scene(0).log.images(0, 1, camera)
        assert image.dtype == np.uint8
        assert np.abs(image.astype(int) - int(grey[0, 0])).max() <= 1


class TestBadPhotographs:
    def test_huge_files_are_refused_unread(self, photo, monkeypatch):
        monkeypatch.setattr(pictures, "MAX_IMAGE_BYTES", 100)
        with pytest.raises(InvalidScene, match="at most 100"):
            open_scenes(photo)

    def test_a_picture_that_goes_away(self, photo, camera):
        scene = open_scenes(photo).scene(0)
        photo.unlink()
        with pytest.raises(InvalidScene, match="cannot be read"):
            scene.log.images(0, 1, camera)


class TestVideo:
    def test_starts_have_a_past(self):
        assert video_starts_s(6.0) == [1.0, 3.0, 5.0]
        assert video_starts_s(0.9) == [0.0]
        assert video_starts_s(0.0) == [0.0]

    def test_times(self, make_video, camera):
        # 75 frames at 30 per second: the last is at 2.467 s. The start is at 1 s, frame 30.
        source = open_scenes(make_video())
        scene = source.scene(0)
        assert (len(source), scene.key) == (1, "drive.mp4")
        assert (scene.log.num_past, scene.log.num_future) == (12, 18)
        shown = frames_shown(scene.log.images(-12, 31, camera))
        expected = 30 + np.arange(-12, 19) * 30 / FPS
        # The nearest of 30 frames a second, and one grey level of the codec's, half a frame.
        assert np.abs(shown - expected.clip(max=74)).max() <= 0.5 + 0.55

    def test_later_starts(self, make_video, camera):
        source = open_scenes(make_video(num_frames=110))
        assert [source.scene(i).key for i in range(len(source))] == ["drive.mp4", "drive.mp4@3.000"]
        assert source.index_of_key("drive.mp4@1.000") == 0
        assert frames_shown(source.scene(1).log.images(0, 1, camera)) == pytest.approx(90, abs=0.55)
        with pytest.raises(UnknownScene, match=r"drive\.mp4@1\.000, drive\.mp4@3\.000"):
            source.index_of_key("drive.mp4@2.000")

    @pytest.mark.parametrize("name", ["drive.avi", "drive.mkv", "drive.mov", "drive.ts", "drive"])
    def test_containers(self, make_video, camera, name, tmp_path):
        path = make_video("drive.mp4" if name == "drive" else name)
        path = path.rename(tmp_path / name)
        scene = open_scenes(path).scene(0)
        shown = frames_shown(scene.log.images(-12, 25, camera))
        # The transport stream's clock does not start at zero, and its length is a guess: a frame of slack for that.
        assert np.abs(shown - (30 + np.arange(-12, 13) * 2.5)).max() < 1.9

    def test_a_recording_without_a_length(self, tmp_path, camera):
        path = tmp_path / "browser.webm"
        with av.open(str(path), "w", options={"live": "1"}) as container:
            stream = container.add_stream("libvpx", rate=30)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            for frame in range(60):
                image = np.full((48, 64, 3), 20 + 2 * frame, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
        log = open_scenes(path).scene(0).log
        assert (log.num_past, log.num_future) == (12, 12)
        assert frames_shown(log.images(0, 13, camera))[-1] == pytest.approx(59, abs=3)

    def test_the_whole_is_never_held(self, make_video):
        log = open_scenes(make_video(num_frames=90)).scene(0).log
        big = Camera(Intrinsics.from_fov(1.0, (1080, 1920)))
        for first in range(0, 20, 4):
            log.images(first, 2, big)
        assert sum(image.nbytes for image in log._cache.values()) <= 40 * 2**20

    def test_pickling(self, make_video, camera):
        source = open_scenes(make_video())
        again = pickle.loads(pickle.dumps(source)).scene(0)
        scene = pickle.loads(pickle.dumps(source.scene(0)))
        assert (scene.log.images(0, 2, camera) == again.log.images(0, 2, camera)).all()


class TestBadVideos:
    def test_sound_only(self, tmp_path):
        with av.open(str(tmp_path / "a.mp4"), "w") as container:
            stream = container.add_stream("aac", rate=44100)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
        with pytest.raises(InvalidScene, match="no video stream"):
            open_scenes(tmp_path / "a.mp4")


class TestFolder:
    def test_files_in_order_then_later_starts(self, photo, make_video):
        make_video("b.mp4", num_frames=110)
        make_video("a.mp4", num_frames=30)
        (photo.parent / ".hidden.png").write_bytes(b"")
        (photo.parent / "notes.txt").write_text("")
        source = open_scenes(photo.parent)
        keys = [source.scene(i).key for i in range(len(source))]
        assert keys == ["a.mp4", "b.mp4", "photo.png", "b.mp4@3.000"]


class TestCameraFile:
    SIZED: ClassVar = {"fx_px": 100, "fy_px": 101, "cx_px": 59, "cy_px": 44, "width_px": 120, "height_px": 90}

    def read(self, photo, entries, name="photo.camera.json"):
        (photo.parent / name).write_text(entries if isinstance(entries, str) else json.dumps(entries))
        return open_scenes(photo).scene(0)

    def test_of_the_file_and_of_the_folder(self, photo):
        mounting = {"translation_m": [2.0, 0.1, 1.2], "rotation_wxyz": [0.5, -0.5, 0.5, -0.5]}
        entries = {"intrinsics": self.SIZED, "mounting": mounting, "prompt": "Weather: foggy.", "speed_mps": 8}
        scene = self.read(photo, entries, "camera.json")
        assert scene.camera.intrinsics == Intrinsics(100.0, 101.0, 59.0, 44.0, 120, 90)
        assert scene.camera.mounting.translation_m == (2.0, 0.1, 1.2)
        assert (scene.prompt, scene.start.speed_mps) == ("Weather: foggy.", 8.0)
        assert self.read(photo, {"horizontal_fov_rad": 1.0}).camera.intrinsics.horizontal_fov_rad == pytest.approx(1.0)

    def test_another_resolution_scales(self, photo):
        doubled = {name: 2 * value for name, value in self.SIZED.items()}
        assert self.read(photo, {"intrinsics": doubled}).camera.intrinsics.fx_px == pytest.approx(100)

    @pytest.mark.parametrize(
        "entries",
        [
            "{",
            {"fov": 1},
            {"intrinsics": {"fx_px": 1}},
            {"intrinsics": {**SIZED, "fx_px": -1}},
            {"intrinsics": {**SIZED, "width_px": 500}},
            {"intrinsics": SIZED, "horizontal_fov_rad": 1},
            {"horizontal_fov_rad": 4},
            {"horizontal_fov_rad": 1, "mounting": {"translation_m": [0, 0, -1]}},
            {"mounting": {"translation_m": [0, 0, 1]}},
            {"speed_mps": -1},
            {"prompt": 3},
        ],
    )
    def test_mistakes_are_named(self, photo, entries):
        with pytest.raises(InvalidScene, match=r"photo\.camera\.json"):
            self.read(photo, entries)
