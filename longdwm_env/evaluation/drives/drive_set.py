"""A set of drives in the simulator and, on demand, the same drives in other worlds; all kept on disk."""

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from tqdm import tqdm

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.drives.drive_store import DriveStore
from longdwm_env.evaluation.drives.plans import Refused
from longdwm_env.evaluation.drives.prompted import DRAWN, Way, with_conditions
from longdwm_env.evaluation.drives.recorder import Drive, Driver
from longdwm_env.simulator.conditions import Conditions

SIMULATOR = "simulator"
TRIES_PER_DRIVE = 20
"""Scenes that are tried for each drive wanted, before the search is given up."""


class Plan(Protocol):
    """How the simulator is driven; see ``plans``."""

    @property
    def name(self) -> str:
        """Of the set."""
        ...

    def drive(self, simulator: Driver, seed: int) -> Drive:
        """Drive a scene, or raise ``Refused``."""
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
        self.refused: dict[int, str] = {}

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
    def passed_over(self) -> str:
        """How many scenes the plan has refused so far, and why, in words."""
        if not self.refused:
            return "none"
        counted = Counter(reason.split(": ")[-1] for reason in self.refused.values())
        reasons = ", ".join(f"{reason}: {count}" for reason, count in counted.most_common())
        return f"{len(self.refused)} ({reasons})"

    def truth(self, seed: int) -> Drive | None:
        """The drive in the simulator; None where the plan refuses the scene."""
        key = str(seed)
        drive = self.store.read(self.plan.name, SIMULATOR, key)
        if drive is not None:
            return drive
        reason = self.store.refusal(self.plan.name, SIMULATOR, key)
        if reason is None:
            try:
                drive = self.plan.drive(self.drivers[SIMULATOR], seed)
            except Refused as refused:
                reason = str(refused)
                self.store.refuse(self.plan.name, SIMULATOR, key, reason)
            else:
                self.store.write(self.plan.name, SIMULATOR, key, drive)
                return drive
        assert reason is not None
        self.refused[seed] = reason
        return None

    def again(self, world: str, seed: int) -> Drive:
        """The same scene and actions in another world."""
        if world == SIMULATOR:
            drive = self.truth(seed)
            assert drive is not None, f"scene {seed} was refused"
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
        """A drive that the store has, or that is made and stored.

        Args:
            name: of the set of drives.
            world: in which it was driven.
            key: within the set.
            make: what to do without it.
        """
        drive = self.store.read(name, world, key)
        if drive is None:
            drive = make()
            self.store.write(name, world, key, drive)
        return drive
