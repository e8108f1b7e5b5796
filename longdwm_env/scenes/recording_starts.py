"""Starts within recordings: which there are, in which order, and what they are called.

A recording (a nuScenes scene, a video, a photograph) can be started at several moments. Indices 0 .. R - 1 are the R
recordings at their first start, so that the first seeds visit them all; the further starts follow, recording by
recording. The first start's key is the recording's name, a further one's is ``name@seconds``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from longdwm_env.errors import InvalidScene, UnknownScene
from longdwm_env.io.caching import Kept
from longdwm_env.types import Scene


@dataclass(frozen=True)
class Start:
    """One moment of one recording: ``moment`` indexes the recording's own list of starts."""

    key: str
    recording: int
    moment: int


class StartIndex:
    """The starts of a scene source, by index and by key."""

    def __init__(self, source: str, names: Sequence[str], times_s: Sequence[Sequence[float]]) -> None:
        """Number the starts.

        Args:
            source: what errors call the scene source.
            names: of the recordings, distinct.
            times_s: of each recording's starts, in seconds after its first frame; at least one each.

        Raises:
            InvalidScene: two recordings, or starts, have the same name.
        """
        self._source = source
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise InvalidScene(f"{source}: several recordings are called {repeated[0]!r}; names must differ")
        further = [
            Start(f"{name}@{time:.3f}", recording, moment)
            for recording, (name, times) in enumerate(zip(names, times_s, strict=True))
            for moment, time in enumerate(times)
        ]
        first = [Start(name, recording, 0) for recording, name in enumerate(names)]
        self._starts = first + [start for start in further if start.moment > 0]
        self._further_from = []
        next_further = len(names)
        for times in times_s:
            self._further_from.append(next_further)
            next_further += len(times) - 1
        self._index_of_key = {start.key: start_index for start_index, start in enumerate(self._starts)}
        if len(self._index_of_key) < len(self._starts):
            raise InvalidScene(f"{source}: a recording is called as the start of another one is; names must differ")
        # A first start also answers to its own time.
        for start in further:
            if start.moment == 0:
                self._index_of_key.setdefault(start.key, start.recording)

    def __len__(self) -> int:
        return len(self._starts)

    def start(self, index: int) -> Start:
        """The start of an index.

        Raises:
            UnknownScene: no such index.
        """
        if not 0 <= index < len(self):
            raise UnknownScene(f"scene {index} does not exist; {self._source} has scenes 0 to {len(self) - 1}")
        return self._starts[index]

    def index_of(self, recording: int, moment: int) -> int:
        """The index of a recording's start."""
        return recording if moment == 0 else self._further_from[recording] + moment - 1

    def index_of_key(self, key: str) -> int:
        """The index of a key.

        Raises:
            UnknownScene: no start has the key; the message lists the nearest names.
        """
        if key in self._index_of_key:
            return self._index_of_key[key]
        name = key.split("@")[0]
        near = sorted(known for known in self._index_of_key if known.startswith(f"{name}@")) or list(self._index_of_key)
        shown = ", ".join(near[:8]) + (", ..." if len(near) > 8 else "")
        raise UnknownScene(f"{self._source} has no scene {key!r}; there are {shown}")


class IndexedScenes:
    """Scenes that are read from files when they are asked for, and kept for a while."""

    _index: StartIndex
    _scene: Kept[Scene]

    def __len__(self) -> int:
        return len(self._index)

    def scene(self, index: int) -> Scene:
        """The scene of an index; the same object while it is remembered.

        Raises:
            UnknownScene: no such index.
            InvalidScene: a file is missing or unreadable, or its records make no sense.
        """
        return self._scene(index)

    def index_of_seed(self, seed: int) -> int:
        """Seeds go round the starts, every recording once before any a second time."""
        return seed % len(self)
