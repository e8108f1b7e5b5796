"""Whether worlds hold on the user's own pictures: each is driven into, straight on and in a curve, and judged."""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from longdwm_env.clock import HORIZON_S
from longdwm_env.episodes.starts import AssumedCameraWarning, AssumedSpeedWarning
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.drives.drive_set import MeasuredWorlds
from longdwm_env.evaluation.drives.drive_store import DriveStore
from longdwm_env.evaluation.drives.recorder import Drive, Driver, Recorder
from longdwm_env.evaluation.report import Row, Table
from longdwm_env.evaluation.sheets import spread
from longdwm_env.evaluation.worlds.collapse import BOUNDS, SIGNS, WINDOW_S, Course, course
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.io.files import file_name
from longdwm_env.scenes import open_scenes
from longdwm_env.types import FloatArray, ImageSize, Scene, SceneSource

SPEED_MPS = 8.0
RADIUS_M = 100.0
WAYS = ("straight", "in a curve")
HOLDS = "holds"


@dataclass(frozen=True)
class PictureDrives:
    """Drives into pictures, kept on disk.

    Attributes:
        data: a photograph, a video or a folder of them, as ``scenes=`` has it; a road may be said behind it.
        worlds: that are driven.
        folder: of the drives; those that are there are not driven again.
        seconds: of each drive.
        most: starts; where there are more, they are chosen evenly.
    """

    data: str
    worlds: MeasuredWorlds
    folder: Path
    seconds: int
    most: int

    def driven(self) -> Iterator[tuple[str, str, str, Drive]]:
        """Picture after picture its name, the way, the world and the drive.

        Raises:
            InvalidConfig: drives are too short to be judged.
        """
        if self.seconds < WINDOW_S:
            raise InvalidConfig(f"--seconds {self.seconds}: whether a drive holds is seen after {WINDOW_S:g} s or more")
        source = open_scenes(self.data)
        store = DriveStore(self.folder, self.worlds.versions)
        drivers = self.worlds.drivers
        for index in tqdm(spread(range(len(source)), self.most), desc="pictures", unit="picture"):
            scene = source.scene(index)
            for way in WAYS:
                for world in self.worlds.names:
                    driver = drivers[world]
                    key = f"{file_name(scene.key)}-{file_name(way)}-{self._hash(scene, driver.world.image_size)}"
                    drive = store.read(self._set, world, key)
                    if drive is None:
                        with warnings.catch_warnings():
                            if (way, world) != (WAYS[0], self.worlds.names[0]):
                                # What is assumed of a picture has been said.
                                warnings.simplefilter("ignore", AssumedCameraWarning)
                                warnings.simplefilter("ignore", AssumedSpeedWarning)
                            drive = _drive(driver, source, index, way, self.seconds)
                        store.write(self._set, world, key, drive)
                    yield scene.key, way, world, drive

    @property
    def _set(self) -> str:
        return f"pictures-{self.seconds}s"

    def _hash(self, scene: Scene, size: ImageSize) -> str:
        """Of what a drive begins with: the picture, and what is said of it."""
        camera = (scene.camera or assumed_camera(size)).fitted(size)
        said = self.data.partition("?")[2]
        text = scene.log.images(0, 1, camera).tobytes() + f"{said} {scene.prompt} {scene.start}".encode()
        return hashlib.blake2b(text, digest_size=4).hexdigest()


def waypoints(way: str) -> FloatArray:
    """An action (4, 2): x and y in metres at 0.5, 1, 1.5 and 2 s."""
    along = SPEED_MPS * np.linspace(HORIZON_S / 4, HORIZON_S, 4)
    if way == WAYS[0]:
        return np.stack([along, np.zeros(4)], axis=1)
    turned = along / RADIUS_M
    return RADIUS_M * np.stack([np.sin(turned), 1 - np.cos(turned)], axis=1)


def _drive(driver: Driver, source: SceneSource, index: int, way: str, seconds: int) -> Drive:
    recorder = Recorder(driver.environment("trajectory", source, "video"), index, way, None, seconds)
    for _ in range(seconds):
        recorder.step(waypoints(way), go_on=True)
    return recorder.drive()


@dataclass
class Verdicts:
    """What the detector of collapse says of each drive, gathered one at a time.

    Attributes:
        seconds: of each drive.
        found: by picture and world, the course of each way.
    """

    seconds: int
    found: dict[tuple[str, str], dict[str, Course]] = field(default_factory=dict)

    def add(self, picture: str, way: str, world: str, drive: Drive) -> None:
        """One drive."""
        self.found.setdefault((picture, world), {})[way] = course(drive.frames, drive.speeds_mps)

    def table(self, worlds: Sequence[str], facts: dict[str, object]) -> Table:
        """Every picture in every world, and below them how many hold."""
        rows: list[Row] = []
        for (picture, world), courses in self.found.items():
            rows.append((picture, (world, *(verdict(courses[way]) for way in WAYS))))
        pictures = len({picture for picture, _ in self.found})
        for world in worlds:
            held = [sum(verdict(courses[way]) == HOLDS for (_, one), courses in self.found.items() if one == world)
                    for way in WAYS]  # fmt: skip
            rows.append(("holds", (world, *(f"{count} of {pictures}" for count in held))))
        bounds = ", ".join(f"{sign} {bound:g}" for sign, bound in zip(SIGNS, BOUNDS, strict=True))
        notes = (
            f"Driven at {SPEED_MPS:g} m/s, straight on and in a curve of {RADIUS_M:g} m to the left. A drive holds "
            f"unless the median over {WINDOW_S:g} s of one of five signs lies beyond its bound ({bounds}). The word is "
            "that of the first such sign, the time the end of its first window.",
            "The detector sees neither lanes nor objects, nor whether what follows is likely: look at the sheets.",
        )
        title = f"Does {worlds[0]} hold for {self.seconds} s?"
        return Table("last-pictures", title, ("picture", "world", *WAYS), tuple(rows), pictures, facts, notes)


def verdict(found: Course) -> str:
    """In words."""
    collapse = found.collapse
    return HOLDS if collapse is None else f"{collapse.sign} at {collapse.time_s:g} s"
