import av
import numpy as np
import pytest

from longdwm_env.io.video import VideoWriter, enlarge, playback_scale, write_video

pytestmark = pytest.mark.usefixtures("large_films")


def moving_square(frames: int, height: int = 96, width: int = 144) -> np.ndarray:
    video = np.full((frames, height, width, 3), 90, np.uint8)
    for t in range(frames):
        video[t, 30:60, 4 * t : 4 * t + 30] = (220, 40, 40)
    return video


def read(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_what_is_written_is_what_plays(tmp_path):
    video = moving_square(24)
    write_video(tmp_path / "drive.mp4", [video[:5], video[5:]])
    seen = read(tmp_path / "drive.mp4")
    assert len(seen) == 24
    assert playback_scale((96, 144)) == 4
    wanted = enlarge(video, 4)
    assert seen[0].shape == wanted[0].shape
    # H.264 at a quarter of the colour resolution: edges differ, pictures do not.
    assert np.abs(np.stack(seen).astype(int) - wanted.astype(int)).mean() < 3


def test_odd_sizes_are_padded_not_refused(tmp_path):
    write_video(tmp_path / "odd.mp4", [moving_square(3, 387, 501)])
    assert read(tmp_path / "odd.mp4")[0].shape == (388, 502, 3)


def test_an_interrupted_or_empty_video_leaves_nothing(tmp_path):
    def interrupted():
        with VideoWriter(tmp_path / "drive.mp4", (96, 144)) as video:
            video.write(moving_square(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    def empty():
        with VideoWriter(tmp_path / "drive.mp4", (96, 144)):
            pass

    with pytest.raises(ValueError, match="no frame"):
        empty()
    assert list(tmp_path.iterdir()) == []


def test_a_preview_can_be_watched_while_it_is_written(tmp_path):
    path = tmp_path / "preview.mp4"
    with VideoWriter(path, (96, 144), preview=True) as video:
        video.write(moving_square(12))
        video.write(moving_square(24))
        video.write(moving_square(12))
        with av.open(str(path)) as container:
            assert next(container.decode(video=0)).width == 576


def test_frames_of_another_size_are_refused(tmp_path):
    with VideoWriter(tmp_path / "x.mp4", (96, 144)) as video:
        video.write(moving_square(1))
        with pytest.raises(ValueError, match="expected uint8"):
            video.write(moving_square(1, 48, 72))
