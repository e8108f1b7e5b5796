"""The worlds of a measurement: what they are called in results, and their drives."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from longdwm_env.evaluation.drives.drive_set import SIMULATOR, DriveSet, Plan
from longdwm_env.evaluation.drives.drive_store import DriveStore
from longdwm_env.evaluation.drives.recorder import Driver
from longdwm_env.factory import BUILT_IN_WORLDS
from longdwm_env.world import WorldModel


@dataclass(frozen=True)
class MeasuredWorlds:
    """A world, and others beside it.

    Attributes:
        world: that is measured: a name, or the path of a saved pipeline.
        against: the others.
        device: where learned worlds run; None to choose.
    """

    world: str
    against: tuple[str, ...] = ()
    device: str | None = None

    @property
    def names(self) -> list[str]:
        """What the worlds are called, the one that is measured first."""
        return list(dict.fromkeys(self._name(world) for world in (self.world, *self.against)))

    def drives(self, plan: Plan, folder: Path, first_seed: int, version: Callable[[WorldModel], str]) -> DriveSet:
        """The drives of a plan in the simulator and in every world, at the image size of the one that is measured.

        Args:
            plan: how the simulator is driven.
            folder: where drives are kept.
            first_seed: of the built-in scenes.
            version: of what a world's drives depend on: those of another version are not taken from the folder.
        """
        measured = Driver(self.world, device=self.device)
        size = measured.world.image_size
        drivers = {self._name(world): Driver(world, size, self._device(world)) for world in self.against}
        drivers |= {SIMULATOR: Driver(SIMULATOR, size), self._name(self.world): measured}
        height, width = size
        versions = {name: f"{version(driver.world)}-{height}x{width}" for name, driver in drivers.items()}
        return DriveSet(plan, drivers, DriveStore(folder, versions), first_seed)

    def _name(self, world: str) -> str:
        """The last part of a path, where that is enough to tell it from the others."""
        short = Path(world).name
        alike = {other for other in (self.world, *self.against) if Path(other).name == short}
        return short if short and len(alike) == 1 else world

    def _device(self, world: str) -> str | None:
        return None if world in BUILT_IN_WORLDS else self.device
