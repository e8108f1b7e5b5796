import os

import av
import cv2
import numpy as np

from longdwm_env.cli.drives.demo import demo


def frames_in(path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_the_demo_writes_what_it_says(tmp_path, capsys):
    assert demo(seconds=1.0, out=tmp_path) == 0
    shown = capsys.readouterr().out
    for name in ("warp-street.mp4", "simulator.mp4", "contact_sheet.png", "trajectory.png"):
        assert str(tmp_path / name) in shown
        assert (tmp_path / name).exists()
    assert frames_in(tmp_path / "simulator.mp4") == 13
    sheet = cv2.imread(str(tmp_path / "contact_sheet.png"))
    assert sheet.std() > 20


def test_the_users_photograph_is_driven_also_with_a_name_that_is_no_text(tmp_path, capsys):
    """OpenCV, asked to write such a name on the sheet, ends the whole process."""
    picture = np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "mine.jpg"), cv2.GaussianBlur(picture, (0, 0), 6))
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 $x$.jpg")
    (tmp_path / "mine.jpg").rename(name)
    assert demo(scene=name, trajectory="left", seconds=1.0, horizon=0.6, out=tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "contact_sheet.png",
        "trajectory.png",
        "warp-caf\ufffd $x$.mp4",
    }
