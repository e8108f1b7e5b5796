"""Every source of scenes keeps what one promises; and each broken promise is found."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import longdwm_env
from longdwm_env.contracts import BrokenPromise, check_scene_source
from longdwm_env.scenes import BuiltinScenes, ListedScenes, open_scenes

from ..env.conftest import GreyLog, StraightRoad, a_scene, standing_car
from ..scenes.conftest import fake_clip, write_video


def start(log):
    x, y, heading = log.ego_poses[log.num_past]
    return replace(a_scene().start, x_m=x, y_m=y, heading_rad=heading)


def test_built_in_photographs_and_lists_keep_their_promises():
    check_scene_source(BuiltinScenes())
    check_scene_source(open_scenes(Path(longdwm_env.__file__).with_name("assets")))
    check_scene_source(ListedScenes(GoodLog.scenes()))


def test_videos_keep_their_promises(tmp_path):
    write_video(tmp_path / "drive.mp4", num_frames=150)
    check_scene_source(open_scenes(tmp_path))


def test_a_nuscenes_dataroot_keeps_its_promises(tmp_path):
    pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    from longdwm_env.scenes.nuscenes.export import export_nuscenes

    export_nuscenes([fake_clip(7), fake_clip(8, num_frames=37)], tmp_path / "dataset")
    check_scene_source(open_scenes(tmp_path / "dataset"))


class GoodLog(GreyLog):
    """A record that ends where it ends."""

    def images(self, first, count, camera):
        if first + count > self.num_future + 1:
            raise ValueError("the record ends")
        return super().images(first, count, camera)

    @classmethod
    def scenes(cls):
        log = cls(num_past=3, num_future=2)
        driven = a_scene("driven", log=log, start=start(log), actors=standing_car(20.0)(0, 3))
        return [a_scene("plain", log=cls(poses=False)), driven]


class FadingLog(GoodLog):
    """Each look shows something else."""

    looks = 0

    def images(self, first, count, camera):
        self.looks += 1
        return super().images(first, count, camera) + np.uint8(self.looks)


class Restless(ListedScenes):
    calls = 0

    def scene(self, index):
        self.calls += 1
        return replace(super().scene(index), prompt=f"call {self.calls}")


def changed(make, **methods):
    """What ``make`` makes, with other methods."""
    made = make()
    vars(made).update(methods)
    return made


def listed(**methods):
    return changed(lambda: ListedScenes(GoodLog.scenes()), **methods)


def of_log(images):
    """Scenes whose record shows something else; ``images`` is given the record, the pictures' places and the camera."""

    class Log(GoodLog):
        pass

    Log.images = images
    return ListedScenes(Log.scenes())


def rough_map():
    road = changed(StraightRoad, drivable=lambda points_m: StraightRoad().drivable(points_m).astype(int))
    return ListedScenes([a_scene(log=GoodLog(), road_map=road)])


KEYS = {scene.key: index for index, scene in enumerate(GoodLog.scenes())}
BROKEN = [
    (lambda: listed(name=""), "name is a text"),
    (lambda: listed(scene=lambda index: GoodLog.scenes()[index % 2]), "raises UnknownScene, but it gave"),
    (lambda: listed(index_of_key=lambda key: 0), "raises UnknownScene, but it gave"),
    (lambda: listed(index_of_key=KEYS.__getitem__), "not KeyError"),
    (lambda: listed(index_of_seed=lambda seed: seed), "index from 0"),
    (lambda: Restless(GoodLog.scenes()), "the same at every call"),
    (lambda: of_log(GreyLog.images), "beyond the record"),
    (lambda: of_log(lambda *given: GoodLog.images(*given).astype(float)), "pictures of .* are uint8"),
    (lambda: ListedScenes(FadingLog.scenes()), "the same at every call"),
    (lambda: of_log(lambda *given: GoodLog.images(*given)[::-1]), "repeat its first frame|alone and in a run"),
    (rough_map, "a bool for each point"),
    (lambda: ListedScenes([a_scene(log=GoodLog(poses=False), actors=standing_car(9.0)(0, 5))]), "actors of"),
    (lambda: ListedScenes([replace(GoodLog.scenes()[1], start=replace(a_scene().start, x_m=9.0))]), "starts where"),
]


@pytest.mark.parametrize(("broken", "told"), BROKEN, ids=[told for _, told in BROKEN])
def test_a_broken_promise_is_found(broken, told):
    with pytest.raises(BrokenPromise, match=told):
        check_scene_source(broken())
