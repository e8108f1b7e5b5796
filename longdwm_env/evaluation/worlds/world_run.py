"""One question asked of worlds: scenes are driven in the simulator, then in each world, and findings are written."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from longdwm_env.evaluation.drives.drive_set import SIMULATOR, DriveSet, MeasuredWorlds, Plan
from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.evaluation.report import Table
from longdwm_env.evaluation.sheets import sheet_rows, write_sheets
from longdwm_env.io.figures import SheetRow
from longdwm_env.training.data.simulator_footage import simulator_hash
from longdwm_env.types import FloatArray


@dataclass
class WorldRun:
    """What is asked of which worlds, and where results go.

    Attributes:
        worlds: the one that is measured and those beside it.
        drives: folder of the drives; those that are there are not driven again.
        out: folder of tables and sheets.
        sheets: rows of contact sheets, by the name of the sheet.
    """

    worlds: MeasuredWorlds
    drives: Path
    first_seed: int
    out: Path
    command: str
    sheets: dict[str, list[SheetRow]] = field(default_factory=dict)

    @property
    def world(self) -> str:
        """What the measured world is called."""
        return self.worlds.names[0]

    @property
    def against(self) -> list[str]:
        """What the others are called."""
        return self.worlds.names[1:]

    def opened(self, plan: Plan) -> DriveSet:
        """The drives of a plan."""
        return self.worlds.drives(plan, self.drives, self.first_seed)

    def driven(
        self,
        drives: DriveSet,
        seeds: Sequence[int],
        sheet: str,
        times_s: Sequence[float],
        shown: Collection[int],
        boxes: Callable[[Drive], FloatArray] | None = None,
    ) -> Iterator[tuple[Drive, dict[str, Drive]]]:
        """Scene after scene the drive in the simulator, and the same in each world.

        Args:
            drives: of a plan.
            seeds: of the scenes.
            sheet: name of a contact sheet.
            times_s: moments that it shows.
            shown: seeds of the scenes that it shows.
            boxes: of a drive in the simulator, those to draw at these moments.
        """
        for seed in tqdm(seeds, desc=f"{drives.plan.name}: the same again", unit="scene"):
            truth = drives.again(SIMULATOR, seed)
            made = {world: drives.again(world, seed) for world in self.worlds.names}
            if seed in shown:
                marks = {"truth": boxes(truth)} if boxes else None
                self.show(sheet, sheet_rows({"truth": truth, **made}, times_s, marks))
            yield truth, made

    def show(self, sheet: str, rows: Sequence[SheetRow]) -> None:
        """Put rows on a contact sheet."""
        self.sheets.setdefault(sheet, []).extend(rows)

    def facts(self, drives: DriveSet, seeds: Sequence[int]) -> dict[str, object]:
        """What the numbers depend on."""
        facts: dict[str, object] = {
            "command": self.command,
            "seeds": f"{seeds[0]} to {seeds[-1]}, {len(seeds)} scenes",
            "scenes skipped": drives.skipped,
            "simulator": simulator_hash(),
            "image size": "{} x {}".format(*drives.drivers[SIMULATOR].world.image_size),
        }
        return facts | {f"version of {name}": version for name, version in drives.store.versions.items()}

    def write(self, tables: Sequence[Table], rows_a_page: int) -> list[Path]:
        """Write tables and contact sheets; the paths written."""
        paths: list[Path] = []
        for name, rows in self.sheets.items():
            paths += write_sheets(rows, self.out, name, rows_a_page)
        for table in tables:
            paths += table.write(self.out)
        return paths
