"""The scenes that can be chosen, each with a small picture of how it begins."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from longdwm_env.agents.driving_page.orders import Refused
from longdwm_env.agents.driving_page.photos import Photos
from longdwm_env.agents.driving_page.wire import jpeg_of
from longdwm_env.errors import InvalidScene, LongDWMError
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.scenes import open_scenes
from longdwm_env.types import ImageSize, SceneSource

THUMBNAIL_SIZE: ImageSize = (128, 192)
THUMBNAIL_QUALITY = 85

BUILT_IN_SHOWN = 24
SOURCE_SHOWN = 48
"""So many scenes are offered of each kind; there is one built-in scene for every seed."""

KEPT = 256


@dataclass(frozen=True)
class Choice:
    """A scene to choose: as the order to open it says it, and as the page calls it."""

    kind: str
    which: str
    label: str


class Scenery:
    """Lists scenes and draws their pictures, one at a time, each once. Used by several threads.

    Args:
        source: path of the server's own scenes; None where it has the built-in ones only.
        photos: from pages.
    """

    def __init__(self, source: str | None, photos: Photos) -> None:
        self._builtin = open_scenes(None)
        self._source = None if source is None else open_scenes(Path(source))
        self._photos = photos
        self._drawing = threading.Lock()
        self._drawn: dict[tuple[str, str], bytes] = {}

    def choices(self) -> list[Choice]:
        """All scenes that are offered."""
        found = [Choice("photo", name, "photo") for name in self._photos.names()]
        if self._source is not None:
            for index in range(min(len(self._source), SOURCE_SHOWN)):
                # One file that cannot be read does not spoil a folder of good ones.
                with suppress(InvalidScene):
                    found.append(Choice("source", str(index), self._source.scene(index).key))
        return found + [Choice("builtin", str(seed), f"scene {seed}") for seed in range(BUILT_IN_SHOWN)]

    def thumbnail(self, kind: str, which: str) -> bytes:
        """JPEG of how a scene begins.

        Raises:
            Refused: there is no such scene among those offered.
            InvalidScene: it cannot be read.
        """
        if Choice(kind, which, "") not in [Choice(each.kind, each.which, "") for each in self.choices()]:
            raise Refused("there is no such scene")
        with self._drawing:
            if (kind, which) not in self._drawn:
                while len(self._drawn) >= KEPT:
                    del self._drawn[next(iter(self._drawn))]
                self._drawn[kind, which] = self._draw(kind, which)
            return self._drawn[kind, which]

    def draw_ahead(self, may: Callable[[], bool]) -> None:
        """Draw the pictures before they are asked for, so that they are there when the picker is first opened.

        Args:
            may: asked before each; where it says no, this ends.
        """
        for choice in self.choices():
            if not may():
                return
            # What cannot be drawn says so when it is asked for.
            with suppress(LongDWMError):
                self.thumbnail(choice.kind, choice.which)

    def _draw(self, kind: str, which: str) -> bytes:
        if kind == "photo":
            source: SceneSource = open_scenes(self._photos.path_of(which))
            scene = source.scene(0)
        else:
            source = self._builtin if kind == "builtin" or self._source is None else self._source
            scene = source.scene(int(which))
        camera = assumed_camera(THUMBNAIL_SIZE) if scene.camera is None else scene.camera.fitted(THUMBNAIL_SIZE)
        return jpeg_of(scene.log.images(0, 1, camera)[0], THUMBNAIL_QUALITY)
