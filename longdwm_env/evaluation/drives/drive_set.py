"""A set of drives in the simulator and, on demand, the same drives in other worlds; all kept on disk."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

from tqdm import tqdm

from longdwm_env.agents.driving.engine.prompt_cycling import with_conditions
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.drives.drive_store import DriveStore
from longdwm_env.evaluation.drives.plans import Rejected
from longdwm_env.evaluation.drives.recorder import Drive, Driver
from longdwm_env.evaluation.worlds.flat_world import FLAT, FlatWorld
from longdwm_env.factory import BUILT_IN_WORLDS
from longdwm_env.models.world import DiffusionWorld
from longdwm_env.simulator.conditions import TIMES_OF_DAY, WEATHERS, Conditions
from longdwm_env.training.data.encoded.latents import pipeline_hash
from longdwm_env.training.data.simulator_footage import simulator_hash
from longdwm_env.types import ImageSize
from longdwm_env.world import WorldModel

SIMULATOR = "simulator"
TRIES_PER_DRIVE = 20
"""Scenes that are tried for each drive wanted, before the search is given up."""

Way = Literal["start as prompted", "start as it was"]
DRAWN: Way = "start as prompted"
CHANGED: Way = "start as it was"

ALL = tuple(Conditions(weather, time_of_day) for weather in WEATHERS for time_of_day in TIMES_OF_DAY)


class Plan(Protocol):
    """How the simulator is driven; see ``plans``."""

    @property
    def name(self) -> str:
        """Of the set."""
        ...

    def drive(self, simulator: Driver, seed: int) -> Drive:
        """Drive a scene, or raise ``Rejected``."""
        ...


class DriveSet:
    """Drives of one plan through the built-in scenes from a first seed on.

    Args:
        plan: how the simulator is driven.
        drivers: by the name of the world; the simulator's is among them.
        store: where drives are kept.
        first_seed: of the scenes.
        quiet: no progress bar.
    """

    def __init__(
        self, plan: Plan, drivers: dict[str, Driver], store: DriveStore, first_seed: int, quiet: bool = False
    ) -> None:
        self.plan, self.drivers, self.store = plan, drivers, store
        self.first_seed, self.quiet = first_seed, quiet
        self.rejected: dict[int, str] = {}

    def seeds(
        self,
        count: int,
        wanted: Callable[[Drive], bool] = lambda drive: True,
        among: Callable[[int], bool] = lambda seed: True,
    ) -> list[int]:
        """The seeds of the first ``count`` scenes that the plan has a drive for.

        Args:
            count: how many.
            wanted: leaves out drives.
            among: leaves out scenes before they are driven.

        Raises:
            InvalidConfig: there are not as many among twenty times as many scenes.
        """
        found: list[int] = []
        with tqdm(total=count, desc=f"{self.plan.name}: {SIMULATOR}", unit="drive", disable=self.quiet) as bar:
            for seed in range(self.first_seed, self.first_seed + TRIES_PER_DRIVE * count):
                if len(found) == count:
                    break
                drive = self.truth(seed) if among(seed) else None
                if drive is not None and wanted(drive):
                    found.append(seed)
                    bar.update()
        if len(found) < count:
            raise InvalidConfig(
                f"only {len(found)} of {TRIES_PER_DRIVE * count} scenes suit the plan {self.plan.name!r}; "
                f"{count} were asked for"
            )
        return found

    @property
    def skipped(self) -> str:
        """How many scenes the plan has rejected so far, and why, in words."""
        if not self.rejected:
            return "none"
        counted = Counter(reason.split(": ")[-1] for reason in self.rejected.values())
        reasons = ", ".join(f"{reason}: {count}" for reason, count in counted.most_common())
        return f"{len(self.rejected)} ({reasons})"

    def truth(self, seed: int) -> Drive | None:
        """The drive in the simulator; None where the plan rejects the scene."""
        key = str(seed)
        drive = self.store.read(self.plan.name, SIMULATOR, key)
        if drive is not None:
            return drive
        reason = self.store.refusal(self.plan.name, SIMULATOR, key)
        if reason is None:
            try:
                drive = self.plan.drive(self.drivers[SIMULATOR], seed)
            except Rejected as error:
                reason = str(error)
                self.store.reject(self.plan.name, SIMULATOR, key, reason)
            else:
                self.store.write(self.plan.name, SIMULATOR, key, drive)
                return drive
        assert reason is not None
        self.rejected[seed] = reason
        return None

    def again(self, world: str, seed: int) -> Drive:
        """The same scene and actions in another world."""
        if world == SIMULATOR:
            drive = self.truth(seed)
            assert drive is not None, f"scene {seed} was rejected"
            return drive
        original = self.again(SIMULATOR, seed)
        return self.kept(self.plan.name, world, str(seed), lambda: self.drivers[world].again(original))

    def prompted(self, world: str, seed: int, conditions: Conditions, way: Way) -> Drive:
        """The same scene and actions under another prompt; see ``prompts``."""
        name = f"{self.plan.name}-{way.replace(' ', '-')}"
        key = f"{seed}-{conditions.weather}-{conditions.time_of_day}"
        original = self.again(SIMULATOR, seed)
        prompt = with_conditions(original.prompt, conditions)
        return self.kept(name, world, key, lambda: self.drivers[world].again(original, prompt, redrawn=way == DRAWN))

    def kept(self, name: str, world: str, key: str, make: Callable[[], Drive]) -> Drive:
        """A drive that the store has, or that is made and stored."""
        drive = self.store.read(name, world, key)
        if drive is None:
            drive = make()
            self.store.write(name, world, key, drive)
        return drive


def asked(own: Conditions, number: int, way: Way) -> Conditions:
    """The conditions for the scene with this number: all nine in turn, or the eight that are not its own."""
    if way == DRAWN:
        return ALL[number % len(ALL)]
    others = [one for one in ALL if one != own]
    return others[number % len(others)]


@dataclass(frozen=True)
class MeasuredWorlds:
    """A world, and others beside it.

    Attributes:
        world: that is measured: a name, or the path of a saved pipeline.
        against: the others; ``flat`` is the measured world's map picture.
        device: where learned worlds run; None to choose.
    """

    world: str
    against: tuple[str, ...] = ()
    device: str | None = None

    @property
    def names(self) -> list[str]:
        """What the worlds are called, the one that is measured first."""
        return list(dict.fromkeys(self._name(world) for world in (self.world, *self.against)))

    @cached_property
    def drivers(self) -> dict[str, Driver]:
        """Of the simulator and every world, at the image size of the one that is measured."""
        measured = Driver(self.world, device=self.device)
        size = measured.world.image_size
        drivers = {self._name(world): self._beside(measured.world, world, size) for world in self.against}
        return drivers | {SIMULATOR: Driver(SIMULATOR, size), self._name(self.world): measured}

    @cached_property
    def versions(self) -> dict[str, str]:
        """Of what the drives of each depend on: those of another version are not taken from a store."""
        return {
            name: "{}-{}x{}".format(world_version(driver.world), *driver.world.image_size)
            for name, driver in self.drivers.items()
        }

    def drives(self, plan: Plan, folder: Path, first_seed: int) -> DriveSet:
        """The drives of a plan, kept in a folder, through the built-in scenes from a seed on."""
        return DriveSet(plan, self.drivers, DriveStore(folder, self.versions), first_seed)

    def _name(self, world: str) -> str:
        """The last part of a path, where that is enough to tell it from the others."""
        short = Path(world).name
        alike = {other for other in (self.world, *self.against) if Path(other).name == short}
        return short if short and len(alike) == 1 else world

    def _beside(self, measured: WorldModel, world: str, size: ImageSize) -> Driver:
        if world != FLAT:
            return Driver(world, size, self._device(world))
        if not isinstance(measured, DiffusionWorld) or measured.pipeline.compositor is None:
            raise InvalidConfig(f"--against {FLAT} is the map of a world with a compositor; {self.world} has none")
        return Driver(FlatWorld(measured.pipeline, FLAT, size))

    def _device(self, world: str) -> str | None:
        return None if world in BUILT_IN_WORLDS else self.device


def world_version(world: WorldModel) -> str:
    """What a world's drives depend on: the simulator's code, weights and settings of a learned one."""
    text = simulator_hash()
    if world.name not in BUILT_IN_WORLDS and isinstance(world, DiffusionWorld):
        text += pipeline_hash(world.pipeline) + repr(world.pipeline.settings)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
