import numpy as np
import pytest

from longdwm_env.errors import InvalidScene, UnknownScene
from longdwm_env.scenes import BuiltinScenes, ListedScenes, open_scenes
from longdwm_env.types import Scene


class EmptyLog:
    num_past = num_future = 0
    ego_poses = None

    def images(self, first, count, camera):
        return np.zeros((count, *camera.intrinsics.image_size, 3), np.uint8)


def scenes(*keys):
    return [Scene(key, EmptyLog(), None) for key in keys]


def test_none_is_the_built_in_scenes():
    source = open_scenes(None)
    assert isinstance(source, BuiltinScenes)
    assert len(source) > 10**12
    assert source.index_of_seed(1_000_007) == 1_000_007
    assert source.index_of_key("simulator:42") == 42


@pytest.mark.parametrize(
    "key", ["42", "simulator:", "simulator:-1", "simulator:4.0", "simulator:٤", "simulator:042", "x"]
)
def test_built_in_keys_are_exact(key):
    with pytest.raises(UnknownScene, match="simulator:0"):
        BuiltinScenes().index_of_key(key)


def test_a_scene_and_a_list_of_scenes():
    one, two = scenes("one", "two")
    assert open_scenes(one).scene(0) is one
    source = open_scenes([one, two])
    assert source.scene(source.index_of_key("two")) is two
    assert [source.index_of_seed(seed) for seed in range(3)] == [0, 1, 0]
    assert open_scenes(source) is source
    with pytest.raises(UnknownScene, match="one, two"):
        source.index_of_key("three")
    with pytest.raises(UnknownScene, match="0 to 1"):
        source.scene(2)


@pytest.mark.parametrize("bad", [[], scenes("same", "same"), ["no scene"]])
def test_bad_lists(bad):
    with pytest.raises(InvalidScene):
        ListedScenes(bad)


@pytest.mark.parametrize("bad", [42, 1.5, {}, "no/such/file", "", "a\0b", b"bytes", object(), "x" * 5000])
def test_anything_else_says_what_is_allowed(bad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidScene, match=r"scenes|holds no images|Scene"):
        open_scenes(bad)
