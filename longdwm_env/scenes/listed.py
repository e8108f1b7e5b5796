"""Scenes that the caller holds in memory."""

from collections.abc import Sequence

from longdwm_env.errors import InvalidScene, UnknownScene
from longdwm_env.types import Scene


class ListedScenes:
    """A fixed list of scenes with distinct keys."""

    name = "list"

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self._scenes = tuple(scenes)
        for scene in self._scenes:
            if not isinstance(scene, Scene):
                raise InvalidScene(f"a list of scenes holds longdwm_env.types.Scene only, got {type(scene).__name__}")
        if not self._scenes:
            raise InvalidScene("the list of scenes is empty; at least one is needed")
        self._index_of_key = {scene.key: index for index, scene in enumerate(self._scenes)}
        if len(self._index_of_key) < len(self._scenes):
            raise InvalidScene("two scenes of the list have the same key; keys must differ")

    def __len__(self) -> int:
        return len(self._scenes)

    def scene(self, index: int) -> Scene:
        """The scene at a place of the list."""
        if not 0 <= index < len(self):
            raise UnknownScene(f"scene {index} does not exist; the list has scenes 0 to {len(self) - 1}")
        return self._scenes[index]

    def index_of_key(self, key: str) -> int:
        """Where in the list the scene with this key is."""
        if key not in self._index_of_key:
            raise UnknownScene(f"no scene has the key {key!r}; there are {', '.join(list(self._index_of_key)[:8])}")
        return self._index_of_key[key]

    def index_of_seed(self, seed: int) -> int:
        """Seeds go round the list."""
        return seed % len(self)
