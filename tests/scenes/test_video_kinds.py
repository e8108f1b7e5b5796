"""Videos as cameras, telephones and editors write them, through every reader that the repository has.

Every picture has a corner of each of four colours, so that whatever turns, mirrors or stretches it shows.
"""

import struct
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av
import gymnasium as gym
import numpy as np
import pytest

from longdwm_env.cli.data.data_sets import check
from longdwm_env.errors import InvalidScene
from longdwm_env.scenes import open_scenes
from longdwm_env.scenes.media import hdr
from longdwm_env.scenes.media.media_scenes import VideoLog
from longdwm_env.scenes.media.video_frames import frames_at, grey_frames, video_facts
from longdwm_env.scenes.nuscenes.check import check_data
from longdwm_env.training.data.videos import VideoClips
from longdwm_env.types import Camera, Intrinsics

from .corners import COLOURS, corners

SIZE = (48, 80)


def four(size=SIZE) -> np.ndarray:
    """Upper left red, upper right green, lower left blue, lower right white."""
    height, width = size
    image = np.zeros((height, width, 3), np.uint8)
    for place, colour in enumerate("rgbw"):
        rows = slice(height // 2) if place < 2 else slice(height // 2, height)
        image[rows, slice(width // 2) if place % 2 == 0 else slice(width // 2, width)] = COLOURS[colour]
    return image


def write(path: Path, images, codec="libx264", pixels="yuv420p", options=None, prepare=None, times=None, rate=12):
    """A video of some images; ``prepare`` is given the stream, ``times`` are those of the frames, in frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        first = images[0]
        stream.height, stream.width = (
            (first.height, first.width) if isinstance(first, av.VideoFrame) else first.shape[:2]
        )
        stream.pix_fmt = pixels
        stream.options = {"crf": "4", **(options or {})} if codec in ("libx264", "libx265") else dict(options or {})
        if prepare is not None:
            prepare(stream)
        for number, image in enumerate(images):
            frame = image if isinstance(image, av.VideoFrame) else av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = (number if times is None else times[number]), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def with_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Put a display matrix into an mp4: nine numbers at the end of the track header but two."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def first_frame(path: Path) -> np.ndarray:
    return next(frames_at(path, video_facts(path), [0.0]))[1]


MATRICES = {
    (1, 0, 0, 1): "rgbw",
    (-1, 0, 0, 1): "grwb",
    (1, 0, 0, -1): "bwrg",
    (-1, 0, 0, -1): "wbgr",
    (0, 1, -1, 0): "brwg",
    (0, -1, 1, 0): "gwrb",
    (0, 1, 1, 0): "rbgw",
    (0, -1, -1, 0): "wgbr",
}


@pytest.mark.parametrize("matrix", MATRICES, ids=lambda m: " ".join(map(str, m)))
def test_turned_and_mirrored_as_the_display_matrix_says(tmp_path, matrix):
    path = with_matrix(write(tmp_path / "turned.mp4", [four()] * 26), *matrix)
    image = first_frame(path)
    upright = SIZE if matrix[0] else SIZE[::-1]
    assert (image.shape[:2], video_facts(path).image_size, corners(image)) == (upright, upright, MATRICES[matrix])
    # What estimates poses sees the same picture.
    grey = next(grey_frames(path, upright))[1].astype(float)
    assert np.abs(grey - image @ np.array([0.299, 0.587, 0.114])).mean() < 12


def test_every_reader_sees_the_upright_picture(tmp_path):
    """An environment, the check and the footage that models are trained on: one reader."""
    path = with_matrix(write(tmp_path / "turned.mp4", [four()] * 40), -1, 0, 0, 1)
    assert check(tmp_path) == 0
    environment = gym.make("LongDWM-v0", world="warp", scenes=str(path), image_size=SIZE, disable_env_checker=True)
    with pytest.warns(UserWarning, match="field of view"):
        observation, _ = environment.reset(seed=0)
    environment.close()
    assert corners(observation["frames"][-1]) == "grwb"
    clips = VideoClips(tmp_path, SIZE, frames=13)
    assert corners(clips.clip(0).images[0]) == "grwb"


@pytest.mark.parametrize(("shape", "size"), [(Fraction(2), (48, 160)), (Fraction(1, 2), (96, 80)), (None, SIZE)])
def test_pixels_that_are_not_square_are_stretched(tmp_path, shape, size):
    def wide(stream):
        if shape is not None:
            stream.codec_context.sample_aspect_ratio = shape

    path = write(tmp_path / "wide.mkv", [four()] * 13, prepare=wide)
    image = first_frame(path)
    assert (image.shape[:2], video_facts(path).image_size, corners(image)) == (size, size, "rgbw")


def hdr_video(path: Path, signal: float, transfer: int, codec="libx264") -> Path:
    def wide(stream):
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, 9, 9

    frame = av.VideoFrame(64, 64, "yuv420p10le")
    # Grey: full luma of the limited range is 64 to 940, chroma 512.
    levels = [round(64 + signal * (940 - 64)), 512, 512]
    for plane, level in zip(frame.planes, levels, strict=True):
        plane.update(np.full(plane.buffer_size // 2, level, "<u2").tobytes())
    frame.colorspace, frame.color_trc = 9, transfer
    return write(path, [frame] * 13, codec, "yuv420p10le", prepare=wide)


def pq(nits: float) -> float:
    """The signal of SMPTE ST 2084."""
    root = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375


@pytest.mark.parametrize(
    ("transfer", "signal", "grey"),
    [
        (hdr.PQ, pq(203), 230),
        (hdr.PQ, pq(20), 99),
        (hdr.PQ, pq(1000), 255),
        (hdr.PQ, pq(4000), 255),
        (hdr.PQ, 0.0, 0),
        (hdr.HLG, 0.75, 230),
        (hdr.HLG, 1.0, 255),
        (hdr.HLG, 0.0, 0),
    ],
)
def test_hdr_is_toned_down(tmp_path, transfer, signal, grey):
    image = first_frame(hdr_video(tmp_path / "hdr.mkv", signal, transfer))
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - grey).max() <= 2


def test_hdr_keeps_hues_and_the_order_of_what_is_bright():
    ramp = np.linspace(0, 65535, 600).astype(np.uint16)
    for transfer in (hdr.HLG, hdr.PQ):
        shown = hdr.standard_range(np.repeat(ramp[None, :, None], 3, axis=2), transfer)
        assert np.ptp(shown.astype(int), axis=2).max() <= 1
        assert (np.diff(shown[0, :, 0].astype(int)) >= 0).all()
        # Red of the standard range's own primaries, bright: nothing of the others comes in.
        red = np.array([0.6274, 0.0691, 0.0164]) * 203
        signal = np.array([pq(nits) for nits in red]) * 65535
    shown = hdr.standard_range(signal.round().astype(np.uint16)[None, None], hdr.PQ)[0, 0]
    assert shown[0] > 200
    assert shown[1:].max() < 25


def test_interlaced_pictures_show_one_moment(tmp_path):
    """The upper rows show a bar at the left, the lower ones the same bar later and further right."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[0::2, 10:30], image[1::2, 50:70] = 255, 255
    options = {"qscale": "1", "flags": "+ildct+ilme"}
    path = write(tmp_path / "fields.mkv", [image] * 13, "mpeg2video", "yuv422p", options, rate=25)
    shown = first_frame(path).astype(float).mean(axis=2)
    assert shown.shape == (64, 96)
    assert shown[:, 12:28].min() > 200
    assert shown[:, 52:68].max() < 55


class TestSeveralStreams:
    def write(self, path, default, cover=False):
        with av.open(str(path), "w") as container:
            streams = []
            for place in range(2):
                stream = container.add_stream("mjpeg" if cover and place == 0 else "libx264", rate=12)
                stream.height, stream.width = SIZE
                stream.pix_fmt = "yuvj420p" if cover and place == 0 else "yuv420p"
                streams.append(stream)
            for place, stream in enumerate(streams):
                stream.disposition = av.stream.Disposition.default if place == default else 0
            if cover:
                streams[0].disposition = av.stream.Disposition.attached_pic
            for place, stream in enumerate(streams):
                image = four() if place == default else np.full((*SIZE, 3), 99, np.uint8)
                for number in range(1 if cover and place == 0 else 13):
                    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                    frame.pts, frame.time_base = number, Fraction(1, 12)
                    container.mux(stream.encode(frame))
                container.mux(stream.encode())
        return path

    @pytest.mark.parametrize("default", [0, 1])
    def test_the_one_marked_as_the_default(self, tmp_path, default):
        assert corners(first_frame(self.write(tmp_path / "two.mkv", default))) == "rgbw"

    def test_a_cover_is_no_video(self, tmp_path):
        path = self.write(tmp_path / "cover.mp4", 1, cover=True)
        assert corners(first_frame(path)) == "rgbw"
        assert video_facts(path).last_s == pytest.approx(1.0, abs=0.01)


class TestTimes:
    GREYS: ClassVar = [np.full((*SIZE, 3), 20 + 4 * i, np.uint8) for i in range(40)]

    def shown(self, path, times):
        return [round((image.mean() - 20) / 4, 1) for _, image in frames_at(path, video_facts(path), times)]

    def test_a_first_time_that_is_not_zero(self, tmp_path):
        path = write(tmp_path / "late.mkv", self.GREYS, times=[60 + i for i in range(40)])
        assert video_facts(path).first_s == pytest.approx(5.0, abs=0.01)
        assert video_facts(path).last_s == pytest.approx(39 / 12, abs=0.01)
        assert self.shown(path, [0.0, 1.0, 39 / 12]) == pytest.approx([0, 12, 39], abs=0.4)

    def test_a_last_frame_that_is_held_and_frames_that_come_unevenly(self, tmp_path):
        times = [0, 1, 2, 3, 4, 20, 21, 22, 23, 60]
        path = write(tmp_path / "uneven.mp4", self.GREYS[:10], times=times)
        assert video_facts(path).last_s == pytest.approx(5.0, abs=0.01)
        assert self.shown(path, [0.0, 4 / 12, 6 / 12, 20 / 12, 2.2, 5.0]) == pytest.approx([0, 4, 4, 5, 8, 9], abs=0.4)
        source = open_scenes(path)
        camera = Camera(Intrinsics.from_fov(1.0, SIZE))
        for index in range(len(source)):
            log = source.scene(index).log
            assert log.images(-log.num_past, log.num_past + 1 + log.num_future, camera).any()

    def test_sound_that_outlasts_the_picture(self, tmp_path):
        path = tmp_path / "sound.mkv"
        with av.open(str(path), "w") as container:
            video, sound = container.add_stream("libx264", rate=12), container.add_stream("aac", rate=8000)
            video.height, video.width, video.pix_fmt = *SIZE, "yuv420p"
            for number, image in enumerate(self.GREYS[:25]):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 12)
                container.mux(video.encode(frame))
            container.mux(video.encode())
            for number in range(80):
                heard = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                heard.sample_rate, heard.pts, heard.time_base = 8000, 1024 * number, Fraction(1, 8000)
                container.mux(sound.encode(heard))
            container.mux(sound.encode())
        facts = video_facts(path)
        assert (facts.last_s, facts.damage) == (pytest.approx(2.0, abs=0.01), "")

    def test_a_tail_that_is_cut_off_is_found_when_the_file_is_opened(self, tmp_path):
        path = write(tmp_path / "cut.mkv", [four()] * 90, options={"g": "12"})
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        facts = video_facts(path)
        assert "cut.mkv is cut off" in facts.damage
        assert facts.last_s < 7
        log = VideoLog(path, facts, 0.0)
        assert log.images(log.num_future, 1, Camera(Intrinsics.from_fov(1.0, SIZE))).any()


class TestContainers:
    LISTS: ClassVar = {
        "list.mp4": "ffconcat version 1.0\nfile {name}\n",
        "list.m3u8.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{name}\n#EXT-X-ENDLIST\n",
        "list.mkv": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><Period/></MPD>",
        "list.avi": "[playlist]\nFile1={name}\n",
    }

    @pytest.mark.parametrize("name", LISTS)
    def test_a_file_that_names_others_is_no_video(self, tmp_path, name):
        secret = write(tmp_path / "secret.bin.mp4", [four()] * 13).rename(tmp_path / "secret.bin")
        (tmp_path / "videos").mkdir()
        path = tmp_path / "videos" / name
        path.write_text(self.LISTS[name].format(name=secret))
        with pytest.raises(InvalidScene, match=name):
            open_scenes(path)
        assert name in check_data(path).problems[0]

    def test_a_name_that_looks_like_a_protocol_is_a_file(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        secret = write(tmp_path / "secret.mp4", [four()] * 13)
        path = write(tmp_path / "x.mp4", [four()] * 13).rename(tmp_path / "concat:x.mp4")
        assert corners(first_frame(Path("concat:x.mp4"))) == "rgbw"
        assert secret.exists()
        assert path.exists()


def test_one_unreadable_file_does_not_spoil_a_folder(tmp_path):
    write(tmp_path / "a.mp4", [four()] * 40)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    write(tmp_path / "d.mp4", [four()] * 40)
    with pytest.warns(UserWarning, match=r"b\.mp4"):
        source = open_scenes(tmp_path)
    kinds = []
    for index in range(4):
        try:
            kinds.append(source.scene(index).key)
        except InvalidScene as error:
            kinds.append(f"refused {'b.mp4' in str(error) or 'c.jpg' in str(error)}")
    assert kinds == ["a.mp4", "refused True", "refused True", "d.mp4"]
    assert VideoClips(tmp_path, SIZE, frames=13).clip(0).images.any()
