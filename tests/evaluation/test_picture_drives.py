"""``longdwm metrics last --data``: whether a world holds on the user's own pictures."""

import json

import cv2
import numpy as np
import pytest

from longdwm_env.cli import main
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.drives.drive_set import MeasuredWorlds
from longdwm_env.evaluation.worlds.collapse import damaged
from longdwm_env.evaluation.worlds.picture_drives import RADIUS_M, WAYS, PictureDrives, Verdicts, waypoints

from ..training.scenery import PaintedRoad
from ..training.test_mine import a_video
from .given import given

pytestmark = pytest.mark.filterwarnings("ignore::longdwm_env.episodes.starts.AssumedCameraWarning")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    source = PaintedRoad(clips=2, frames=1, image_size=(96, 144))
    for number in range(2):
        cv2.imwrite(str(folder / f"{number}.png"), source.clip(number).images[0][..., ::-1])
    return folder


@pytest.mark.filterwarnings("ignore::longdwm_env.episodes.starts.AssumedSpeedWarning")
def test_the_warp_does_not_hold_on_photographs_and_is_driven_once(tmp_path, photos, capsys) -> None:
    given_ = ["metrics", "last", "--world", "warp", "--data", str(photos), "--seconds", "16"]
    given_ += ["--out", str(tmp_path / "out"), "--drives", str(tmp_path / "drives")]
    assert main(given_) == 0
    assert "Does warp hold for 16 s?" in capsys.readouterr().out
    table = json.loads((tmp_path / "out" / "last-pictures.json").read_text())
    rows = {(row["picture"], row["world"]): [row[way] for way in WAYS] for row in table["rows"]}
    assert list(rows) == [("0.png", "warp"), ("1.png", "warp"), ("holds", "warp")]
    assert all(" at " in said for picture in ("0.png", "1.png") for said in rows[picture, "warp"])
    assert rows["holds", "warp"] == ["0 of 2", "0 of 2"]
    assert (tmp_path / "out" / "last-pictures-warp-sheet-1.png").is_file()

    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "drives").rglob("*.safetensors")}
    assert len(kept) == 4
    assert main(given_) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "drives").rglob("*.safetensors")} == kept
    # Another picture of the same name is another drive.
    cv2.imwrite(str(photos / "0.png"), np.full((96, 144, 3), 90, np.uint8))
    assert main(given_) == 0
    assert len(list((tmp_path / "drives").rglob("*.safetensors"))) == 6


def test_starts_of_a_video_are_spread_and_short_drives_refused(tmp_path) -> None:
    a_video(tmp_path / "road.mp4", 8)
    worlds = MeasuredWorlds("warp")
    drives = PictureDrives(str(tmp_path / "road.mp4"), worlds, tmp_path / "drives", 4, 2)
    found = [(key, way, len(drive.frames)) for key, way, _, drive in drives.driven()]
    assert [way for _, way, _ in found] == [*WAYS, *WAYS]
    assert len({key for key, _, _ in found}) == 2
    assert {length for *_, length in found} == {49}
    with pytest.raises(InvalidConfig, match="--seconds 3"):
        next(PictureDrives(str(tmp_path / "road.mp4"), worlds, tmp_path / "drives", 3, 2).driven())


def test_verdicts_name_the_first_sign_and_its_time() -> None:
    clip = PaintedRoad(clips=2, frames=145, image_size=(48, 72)).clip(1)
    speeds = clip.labels["speed_mps"].astype(float)
    found = Verdicts(12)
    for world, kinds in {"good": (None, "meadow"), "bad": ("grey", "upside down")}.items():
        for way, kind in zip(WAYS, kinds, strict=True):
            frames = clip.images if kind is None else damaged(clip.images, kind, 72)
            found.add("a.jpg", way, world, given(frames, speeds=speeds))
    rows = [(name, *cells) for name, cells in found.table(["good", "bad"], {}).rows]
    assert rows == [
        ("a.jpg", "good", "holds", "ground recoloured at 8 s"),
        ("a.jpg", "bad", "blurred at 8 s", "upside down at 8 s"),
        ("holds", "good", "1 of 1", "0 of 1"),
        ("holds", "bad", "0 of 1", "0 of 1"),
    ]


def test_a_curve_is_an_arc_to_the_left() -> None:
    straight, curve = map(waypoints, WAYS)
    assert straight[:, 1].tolist() == [0, 0, 0, 0]
    assert (curve[:, 1] > 0).all()
    np.testing.assert_allclose(np.hypot(curve[:, 0], curve[:, 1] - RADIUS_M), RADIUS_M)
    np.testing.assert_allclose(straight[:, 0], [4, 8, 12, 16])
