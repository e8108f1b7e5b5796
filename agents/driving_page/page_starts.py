"""Where a drive may start that a page asks for: what it may name, and what that is on this machine."""

from dataclasses import dataclass, replace
from pathlib import Path

from longdwm_env.agents.driving.engine.drive_options import DriveOptions
from longdwm_env.agents.driving.recording import links
from longdwm_env.agents.driving.recording.journal import Journal
from longdwm_env.agents.driving.recording.picture_sizes import PictureSizes
from longdwm_env.agents.driving_page import orders
from longdwm_env.agents.driving_page.orders import Refused
from longdwm_env.agents.driving_page.photos import Photos
from longdwm_env.factory import BUILT_IN_WORLDS, MINI
from longdwm_env.scenes.made_roads import with_words, without_words

SOURCE = "source"
"""What links call the scenes that the server was started with: no path of this machine leaves it."""

PHOTO_ROAD = "straight"
"""Of photos from pages, unless the command line says another: without a road a picture does not last."""


@dataclass(frozen=True)
class Starts:
    """Scenes, photos and links, as the options of a drive."""

    options: DriveOptions
    photos: Photos

    @property
    def source(self) -> str | None:
        """Path of the server's own scenes; None where it has the built-in ones only."""
        scene = self.options.scene
        return None if scene is None or scene.isdigit() else self._said(Path(scene).expanduser().resolve())

    def _said(self, path: Path, road: str | None = None) -> str:
        return with_words(str(path), self.options.road or road, self.options.speed) or str(path)

    def options_of(self, order: orders.Open, worlds: tuple[str, ...]) -> DriveOptions:
        """The options that an order to open a scene stands for.

        Raises:
            Refused: it names what is not offered here.
        """
        if order.world and order.world not in self._known(worlds):
            raise Refused(f"there is no world of this name here; there are: {', '.join(self._known(worlds))}")
        chosen = replace(self.options, replay=None, prompt=None, world=order.world or None)
        if order.kind == "photo":
            road = self.options.road or PHOTO_ROAD
            return replace(chosen, scene=str(self.photos.path_of(order.which)), road=road)
        if not (order.which.isascii() and order.which.isdigit() and len(order.which) < 10):
            raise Refused("a scene is chosen by its number")
        return replace(chosen, seed=int(order.which)) if order.kind == SOURCE else replace(chosen, scene=order.which)

    def link_of(self, journal: Journal) -> str:
        """The link to a drive.

        Raises:
            InvalidConfig: the drive is too long for one.
        """
        path = None if journal.scenes is None else Path(without_words(journal.scenes)[0])
        name = None if path is None else self.photos.name_of(path) or SOURCE
        return links.link_of(journal, name)

    def journal_of(self, link: str, worlds: tuple[str, ...]) -> Journal:
        """The drive that a link holds, which may be a stranger's: it opens no world or file that is not offered here.

        Raises:
            InvalidReplay: it is damaged.
            Refused: it names what is not offered here.
        """
        journal = links.journal_of_link(link)
        named = {journal.world, *(step["world"] for step in journal.steps if step["do"] == "world")}
        unknown = named - set(self._known(worlds))
        if unknown:
            raise Refused(f"this drive is in a world that is not offered here: {min(unknown)[:60]!r}")
        ours = PictureSizes(self.options.image_size)
        for world in sorted(named):
            if (size := journal.sizes.of(world)) != ours.of(world):
                height, width = size
                raise Refused(
                    f"in {world[:60]!r} this drive has pictures of {width} x {height}: longdwm serve "
                    f"--image-size {height} {width}"
                )
        return replace(journal, scenes=self._path_of(journal.scenes))

    def _path_of(self, name: str | None) -> str | None:
        if name is None:
            return None
        if name != SOURCE:
            return self._said(self.photos.path_of(name), PHOTO_ROAD)
        if self.source is None:
            raise Refused("this drive was in scenes that this server does not have")
        return self.source

    def _known(self, worlds: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*worlds, *self.options.also, MINI, *BUILT_IN_WORLDS)))
