"""The questions, what the paper says to each, and which comparison answers it."""

from dataclasses import dataclass
from typing import Literal

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.paper.protocols import LONG_FRAMES
from longdwm_env.evaluation.paper.published import TABLE_2, TABLE_4, TABLE_6, TABLE_8
from longdwm_env.evaluation.studies.measures import MEASURES
from longdwm_env.evaluation.studies.variants import FILLERS, VARIANTS

Kind = Literal["drives", "gaps", "warps"]

WARPS = {
    "plane": "plane (Eq. 9)",
    "ground": "ground",
    "sweep": "matched plane sweep",
    "copy": "the frame as it is",
}
"""What is shown of a later moment without any model."""


@dataclass(frozen=True)
class Claim:
    """One system is better than another by one measure."""

    better: str
    worse: str
    measure: str
    paper: str


@dataclass(frozen=True)
class Study:
    """One table, one plot.

    Attributes:
        kind: continued drives, gaps filled between true keyframes, or warps alone.
        note: what a reader must know.
    """

    name: str
    title: str
    kind: Kind
    systems: tuple[str, ...]
    measures: tuple[str, ...]
    claims: tuple[Claim, ...]
    note: str

    def __post_init__(self) -> None:
        systems = {"drives": set(VARIANTS), "gaps": set(FILLERS), "warps": set(WARPS)}
        named = {*self.systems, *(name for claim in self.claims for name in (claim.better, claim.worse))}
        if unknown := sorted(named - set(self.systems)) + sorted(set(self.systems) - systems[self.kind]):
            raise InvalidConfig(f"study {self.name} speaks of systems that it does not have: {unknown}")
        if unknown := sorted({*self.measures, *(claim.measure for claim in self.claims)} - set(MEASURES)):
            raise InvalidConfig(f"study {self.name} has unknown measures {unknown}")

    def label(self, system: str) -> str:
        """How a table calls a system."""
        if self.kind == "drives":
            return VARIANTS[system].label
        return FILLERS[system] if self.kind == "gaps" else WARPS[system]


IMPLIED = "not given; better is what it implies"
PREFERRED = "preferred to Vista in 67.9 % of trajectories (Table 5)"
OURS = "not in the paper: an addition of this project"


def _long_claims() -> tuple[Claim, ...]:
    ours, rival = TABLE_2["LongDWM"], TABLE_2["CogVideoX-I2V-5B"]
    claims = []
    for index, frames in enumerate(LONG_FRAMES):
        said = f"better: FVD {ours[index]} against CogVideoX-I2V-5B's {rival[index]} (Table 2)"
        claims.append(Claim("guided", "autoregressive-guided", f"fds@{frames}", said))
        claims.append(Claim("guided", "autoregressive-guided", f"psnr@{frames}", IMPLIED))
    grown = [row[2] - row[0] for row in (ours, rival, TABLE_2["Vista"])]
    said = "less: FVD grows by {:.0f}, CogVideoX-I2V-5B's by {:.0f}, Vista's by {:.0f} (Table 2)".format(*grown)
    claims.append(Claim("guided", "autoregressive-guided", "fds growth", said))
    for index, frames in enumerate(LONG_FRAMES):
        said = f"faster: {ours[3 + index]} s against {rival[3 + index]} s (Table 2)"
        claims.append(Claim("guided", "autoregressive-guided", f"seconds@{frames}", said))
    return tuple(claims)


def _fvd(table: dict[str, float], worse: str, better: str, number: int) -> str:
    return f"better: FVD {table[worse]} to {table[better]} (Table {number})"


LONGEST = f"fds@{LONG_FRAMES[-1]}"
FIGURE_7 = "better keyframes, by eye (Figure 7)"
_STEP_1, _STEP_2, _STEP_3 = TABLE_6
_RIVALS = (
    f"better: FVD {TABLE_8['Fine DiT'][1]} against {TABLE_8['FRAMER'][1]} and {TABLE_8['SEINE'][1]} of interpolation "
    "networks (Table 8)"
)
_CONTROL = (
    f"better: FVD {TABLE_4['CogVideoX + Vista' + chr(39) + 's feature'][1]} with Vista's action feature to "
    f"{TABLE_4['LongDWM'][1]} with warps (Table 4)"
)

STUDIES = {
    study.name: study
    for study in (
        Study(
            "long",
            "Coarse + Fine against an autoregressive model of the same size",
            "drives",
            ("guided", "second-by-second", "autoregressive-guided", "mini", "copy", "codec"),
            (*(f"fds@{n}" for n in LONG_FRAMES), *(f"psnr@{n}" for n in LONG_FRAMES), "fds growth",
             *(f"seconds@{n}" for n in LONG_FRAMES)),
            _long_claims(),
            "Both are given the same warps and motion. The autoregressive model is one transformer with at least as "
            "many parameters as Coarse and Fine model together, and was trained for as long as both together.",
        ),
        Study(
            "ablation",
            "One part of the method after another",
            "drives",
            ("autoregressive", "hierarchy", "structure", "guided", "longer", "distilled"),
            (LONGEST, "psnr", "ssim", "speed error", "yaw rate error", "unevenness"),
            (
                Claim("hierarchy", "autoregressive", LONGEST, _fvd(TABLE_6, _STEP_1, _STEP_2, 6)),
                Claim("hierarchy", "autoregressive", "psnr", IMPLIED),
                Claim("structure", "hierarchy", LONGEST, FIGURE_7),
                Claim("structure", "hierarchy", "psnr", FIGURE_7),
                Claim("guided", "structure", LONGEST, _CONTROL),
                Claim("guided", "structure", "psnr", IMPLIED),
                Claim("guided", "structure", "speed error", PREFERRED),
                Claim("guided", "structure", "yaw rate error", PREFERRED),
                Claim("distilled", "guided", LONGEST, _fvd(TABLE_6, _STEP_2, _STEP_3, 6)),
                Claim("distilled", "longer", LONGEST, "not compared; distillation alone is meant to help"),
                Claim("distilled", "guided", "psnr", IMPLIED),
            ),
            "Each row adds to the one above it, but for the control: the Coarse model trained on by its own objective "
            "for as long as distillation took. Up to the structure loss no model knows the trajectory, so what follows "
            "may be another drive than the recorded one.",
        ),
        Study(
            "distillation-steps",
            "How long to distill",
            "drives",
            ("guided", "distilled-50", "distilled", "distilled-200"),
            (LONGEST, "psnr", "ssim", "unevenness"),
            tuple(
                Claim(name, "guided", measure, said)
                for name in ("distilled-50", "distilled", "distilled-200")
                for measure, said in (
                    (LONGEST, "better after any number (Table 6, 10)"),
                    ("unevenness", "smoothest after 100 (Table 10: motion smoothness 95.0 %, else 94.6 to 94.9 %)"),
                )
            ),
            "One run, looked at after each number of steps. Unevenness stands in for VBench's motion smoothness.",
        ),
        Study(
            "warp",
            "The warp with the road's plane against the one plane of Eq. 9",
            "drives",
            ("second-by-second", "plane"),
            (LONGEST, "psnr", "ssim", "speed error", "yaw rate error"),
            (
                Claim("second-by-second", "plane", LONGEST, OURS),
                Claim("second-by-second", "plane", "psnr", OURS),
            ),
            "The first row has the road's plane. A warp reaches two seconds, so keyframes are made one by one.",
        ),
        Study(
            "sweep",
            "A warp matched from many planes against one alone",
            "drives",
            ("second-by-second", "swept"),
            (LONGEST, "psnr", "ssim", "speed error", "yaw rate error"),
            tuple(Claim("swept", "second-by-second", measure, OURS) for measure in (LONGEST, "psnr")),
            "Both have the same transformer; without the sweep the further views are empty.",
        ),
        Study(
            "interpolation",
            "The frames between two true keyframes",
            "gaps",
            ("fine-ground", "fine-sweep", "fine", "mini", "blend", "warp", "sweep"),
            ("fds", "psnr", "ssim"),
            tuple(
                Claim(name, rival, measure, said)
                for name in ("fine-ground", "mini")
                for rival in ("blend", "warp")
                for measure, said in (("fds", _RIVALS), ("psnr", IMPLIED))
            )
            + tuple(
                Claim(name, "sweep", measure, OURS) for name in ("fine-sweep", "mini") for measure in ("fds", "psnr")
            ),
            "The rivals are the simple ones named, not the paper's networks. Four seconds of each scene are filled. "
            "The matched plane sweep uses no network; the Fine models that are given it should add to it.",
        ),
        Study(
            "warp-alone",
            "What a warp shows of the next moments, without any model",
            "warps",
            ("ground", "plane", "sweep", "copy"),
            tuple(f"psnr after {n}" for n in (3, 6, 12, 24)),
            tuple(
                Claim(better, worse, f"psnr after {n}", OURS)
                for better, worse in (("ground", "plane"), ("sweep", "ground"))
                for n in (3, 6, 12, 24)
            ),
            "One depth of 35 m for both; see docs/decisions/warp-variant.md.",
        ),
    )
}  # fmt: skip


def chosen_studies(only: tuple[str, ...]) -> tuple[Study, ...]:
    """Studies by name; all where none is named.

    Raises:
        InvalidConfig: there is no such study.
    """
    if unknown := sorted(set(only) - set(STUDIES)):
        raise InvalidConfig(f"there are no studies {unknown}; there are {', '.join(STUDIES)}")
    return tuple(study for name, study in STUDIES.items() if not only or name in only)
