"""nuScenes datasets as they come: in part, from Windows, damaged, or made to read other files.

What opening or beginning a scene stumbles over, ``data check`` finds; where scenes may be left out, they are.
"""

import json

import cv2
import numpy as np
import pytest

from longdwm_env.errors import InvalidScene, LongDWMError
from longdwm_env.scenes import open_scenes
from longdwm_env.scenes.nuscenes.check import check_data
from longdwm_env.scenes.nuscenes.schema_tables import TABLES

from .expansion import LOCATION, install_expansion

pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")

from longdwm_env.scenes.nuscenes.dataroot import NuScenesScenes

from .tables import VERSION, edit


def opening(dataset) -> str:
    """What an environment is told by a dataset that cannot be used; empty where every scene begins."""
    try:
        source = open_scenes(dataset)
        for index in range(len(source)):
            source.scene(index)
    except InvalidScene as error:
        return str(error)
    return ""


def found(dataset) -> str:
    return "\n".join(check_data(dataset).problems)


def both_say(dataset, *words) -> None:
    """Opening and the check name the same thing."""
    told, checked = opening(dataset), found(dataset)
    for word in words:
        assert word in told
        assert word in checked


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
def test_byte_order_marks(dataset, mark):
    table = "ego_pose"
    path = dataset / VERSION / f"{table}.json"
    text = path.read_text()
    codings = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
    path.write_bytes(mark + text.encode(codings.get(mark, "utf-8")))
    both_say(dataset, f"{table}.json", "byte-order mark")


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"utime": 5, "vel": [1, 0, 0], "accel": [], "rotation_rate": [0, 0, 0]},
        {"utime": 5, "vel": [float("nan"), 0, 0], "accel": [0, 0, 0], "rotation_rate": [0, 0, 0]},
        {"utime": 10**400, "vel": [1, 0, 0], "accel": [0, 0, 0], "rotation_rate": [0, 0, 0]},
        {"utime": "soon", "vel": [1, 0, 0], "accel": [0, 0, 0], "rotation_rate": [0, 0, 0]},
        "no message",
        None,
    ],
)
def test_a_damaged_can_message(dataset, message):
    edit(dataset, "scene", lambda records: records[0].update(name="scene-0007"))
    good = {"utime": 0, "vel": [9.0, 0, 0], "accel": [0.5, 0, 9.8], "rotation_rate": [0, 0, 0.2]}
    (dataset / "can_bus").mkdir()
    (dataset / "can_bus" / "scene-0007_pose.json").write_text(json.dumps([good, good, message, good]))
    both_say(dataset, "scene-0007_pose.json", "message 2 is damaged")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "{}",
        lambda text: "[]",
        lambda text: "",
        lambda text: text.replace('"node"', '"nodes"'),
        lambda text: text.replace('"lane0"', '"gone"', 1),
        lambda text: text.replace('"1.3"', '"1.0"'),
    ],
)
def test_a_damaged_map_expansion(dataset, change):
    path = install_expansion(dataset, VERSION, tuple(open_scenes(dataset).scene(0).start.pose))
    assert opening(dataset) == found(dataset) == ""
    path.write_text(change(path.read_text()))
    both_say(dataset, f"{LOCATION}.json")


class TestSweeps:
    def test_missing_as_files(self, dataset):
        for image in (dataset / "sweeps" / "CAM_FRONT").glob("scene-0000007*"):
            image.unlink()
        both_say(dataset, "sweeps", "scene-0000007")
        assert "sweeps are a download of their own" in opening(dataset)

    def test_missing_in_the_tables(self, dataset):
        """Keyframes alone, half a second apart: a start has no past and no future, and the check says so."""

        def keyframes_alone(records):
            camera = [r for r in records if "CAM_FRONT" in r["filename"]]
            kept = [r for r in camera if r["is_key_frame"]]
            for channel in (kept, [r for r in records if "CAM_FRONT" not in r["filename"] and r["is_key_frame"]]):
                channel.sort(key=lambda r: r["timestamp"])
                by_scene = {}
                for record in channel:
                    by_scene.setdefault(record["filename"].split("__")[0].split("/")[-1], []).append(record)
                for chain in by_scene.values():
                    for place, record in enumerate(chain):
                        record["prev"] = chain[place - 1]["token"] if place else ""
                        record["next"] = chain[place + 1]["token"] if place + 1 < len(chain) else ""
            records[:] = [r for r in records if r["is_key_frame"]]

        edit(dataset, "sample_data", keyframes_alone)
        assert "something is missing between" in found(dataset)
        scene = open_scenes(dataset).scene(0)
        assert (scene.log.num_past, scene.log.num_future) == (0, 0)
        assert scene.log.images(0, 1, scene.camera).any()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("samples\\CAM_FRONT\\1.jpg", "backslashes"),
        ("../1.jpg", "outside the dataroot"),
        ("samples/../../1.jpg", "outside the dataroot"),
        ("\\\\server\\share\\1.jpg", "outside the dataroot"),
        ("maps/\0.png", "outside the dataroot"),
    ],
)
@pytest.mark.parametrize("table", ["map", "sample_data"])
def test_names_stay_below_the_dataroot(dataset, table, name, said):
    edit(dataset, table, lambda records: [record.update(filename=name) for record in records])
    assert said in found(dataset)
    assert opening(dataset)


def test_a_mask_outside_the_dataroot_is_not_read_though_it_is_there(dataset):
    outside = dataset.parent / "outside.png"
    cv2.imwrite(str(outside), np.full((2000, 4000), 255, np.uint8))
    for name in (str(outside), "../outside.png"):
        edit(dataset, "map", lambda records, name=name: [record.update(filename=name) for record in records])
        both_say(dataset, "outside the dataroot")


def test_a_place_that_leaves_the_dataroot(dataset):
    edit(dataset, "log", lambda records: [record.update(location="../../../secret") for record in records])
    (dataset / "maps" / "expansion").mkdir()
    both_say(dataset, "outside the dataroot")


def test_a_mask_is_a_picture_and_nothing_that_runs(dataset):
    for mask in (dataset / "maps").glob("*.png"):
        mask.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    both_say(dataset, "scene-0000007.png", "cannot be read")


def test_captions_that_are_none(dataset):
    (dataset / VERSION / "captions.json").write_text('{"scene-0000007": 3}')
    both_say(dataset, "captions.json")


class TestInPart:
    """``skip_missing`` leaves out whatever is not whole, and what is left can be driven."""

    def test_what_is_left_begins(self, dataset, damage):
        damage(dataset)
        assert found(dataset)
        source = NuScenesScenes(dataset, skip_missing=True)
        assert source.recordings == 1
        for index in range(len(source)):
            scene = source.scene(index)
            assert scene.key.startswith("scene-0000008")
            log = scene.log
            assert log.images(-log.num_past, log.num_past + 1 + log.num_future, scene.camera).any()

    @pytest.fixture(params=["keyframe", "sweep", "empty", "cut", "absent folder", "a folder", "mask", "outside"])
    def damage(self, request):
        def change(dataset):
            keyframe = min((dataset / "samples" / "CAM_FRONT").glob("scene-0000007*"))
            sweeps = sorted((dataset / "sweeps" / "CAM_FRONT").glob("scene-0000007*"))
            if request.param == "keyframe":
                keyframe.unlink()
            elif request.param == "sweep":
                sweeps[-1].unlink()
            elif request.param == "empty":
                sweeps[2].write_bytes(b"")
            elif request.param == "cut":
                sweeps[2].write_bytes(sweeps[2].read_bytes()[:-300])
            elif request.param == "absent folder":
                for sweep in sweeps:
                    sweep.unlink()
            elif request.param == "a folder":
                keyframe.unlink()
                keyframe.mkdir()
            elif request.param == "mask":
                (dataset / "maps" / "scene-0000007.png").unlink()
            else:
                name = sweeps[1].relative_to(dataset).as_posix()
                edit(
                    dataset,
                    "sample_data",
                    lambda records: [r.update(filename="/x.jpg") for r in records if r["filename"] == name],
                )

        return change

    @pytest.mark.parametrize("table", TABLES)
    def test_a_missing_table_is_no_missing_scene(self, dataset, table):
        (dataset / VERSION / f"{table}.json").unlink()
        with pytest.raises(LongDWMError, match=f"{table}.json"):
            NuScenesScenes(dataset, skip_missing=True)
