"""What is compared: the transformers that are trained, and the systems that are put together from them."""

from dataclasses import dataclass
from typing import Literal

from longdwm_env.errors import InvalidConfig

PartKind = Literal["coarse", "fine", "autoregressive", "distill", "longer"]
Views = Literal["none", "ground", "plane", "sweep"]
"""What a transformer is given of the trajectory: nothing; the warp that uses the road where it is nearer; the paper's
plane at one depth (Eq. 9); all that the source's models are given, with its sweep of planes."""

SNAPSHOTS = (50, 100, 200)
"""Distillation steps after which the student is looked at (LongDWM, Table 10, and what a small model needs)."""

DEFAULT_SNAPSHOT = 100
"""The paper's own choice."""


@dataclass(frozen=True)
class Part:
    """One transformer to train; each seed trains it once, however many systems use it.

    Attributes:
        kind: what is trained. "autoregressive": one transformer as large as Coarse and Fine model together, with their
            training time together. "distill": the Coarse model ``starts_from`` by the Fine model ``teacher``. "longer":
            the control for it, ``starts_from`` trained on by its own objective for the same processor time.
        has_structure_loss: Eq. 4 counts (Coarse models).
        starts_from: the Coarse part that it goes on from, or None.
        teacher: the Fine part that teaches, or None.
    """

    name: str
    kind: PartKind
    views: Views
    has_structure_loss: bool = True
    starts_from: str | None = None
    teacher: str | None = None

    def __post_init__(self) -> None:
        if (self.kind in ("distill", "longer")) != (self.starts_from is not None):
            raise InvalidConfig(f"part {self.name}: distillation and its control, and only they, start from a part")
        if (self.kind == "distill") != (self.teacher is not None):
            raise InvalidConfig(f"part {self.name}: distillation, and nothing else, needs a teacher")


PARTS = {
    part.name: part
    for part in (
        Part("autoregressive", "autoregressive", "none"),
        Part("autoregressive-ground", "autoregressive", "ground"),
        Part("coarse-bare", "coarse", "none", has_structure_loss=False),
        Part("coarse", "coarse", "none"),
        Part("coarse-ground", "coarse", "ground"),
        Part("coarse-plane", "coarse", "plane"),
        Part("coarse-sweep", "coarse", "sweep"),
        Part("fine", "fine", "none"),
        Part("fine-ground", "fine", "ground"),
        Part("fine-plane", "fine", "plane"),
        Part("fine-sweep", "fine", "sweep"),
        Part("distill", "distill", "ground", starts_from="coarse-ground", teacher="fine-ground"),
        Part("longer", "longer", "ground", starts_from="coarse-ground"),
    )
}


@dataclass(frozen=True)
class Variant:
    """A system that continues drives.

    Attributes:
        coarse, fine: parts of a Coarse + Fine system.
        autoregressive: the part of a baseline.
        snapshot: distillation steps of ``coarse``; None for its end.
        at_once: keyframes of a rollout; None for the paper's twelve.
        given: a system that is not trained here: "mini" is the model that the study takes its codec from.
    """

    name: str
    label: str
    coarse: str | None = None
    fine: str | None = None
    autoregressive: str | None = None
    snapshot: int | None = None
    at_once: int | None = None
    given: Literal["mini", "copy", "codec"] | None = None

    def __post_init__(self) -> None:
        kinds = (self.coarse is not None, self.autoregressive is not None, self.given is not None)
        if sum(kinds) != 1 or (self.coarse is None) != (self.fine is None):
            raise InvalidConfig(f"variant {self.name} is of one kind: Coarse and Fine, a baseline, or given")
        if unknown := [part for part in self.direct_parts if part not in PARTS]:
            raise InvalidConfig(f"variant {self.name} is made of unknown parts {unknown}")

    @property
    def direct_parts(self) -> tuple[str, ...]:
        """Names of the parts that it is put together from."""
        return tuple(part for part in (self.coarse, self.fine, self.autoregressive) if part is not None)

    @property
    def is_trained(self) -> bool:
        """Whether it differs from seed to seed."""
        return self.given is None


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("autoregressive", "autoregressive", autoregressive="autoregressive"),
        Variant("hierarchy", "+ coarse/fine", "coarse-bare", "fine"),
        Variant("structure", "+ structure loss", "coarse", "fine"),
        Variant("guided", "+ warp guidance", "coarse-ground", "fine-ground"),
        Variant("distilled", "+ distillation", "distill", "fine-ground", snapshot=DEFAULT_SNAPSHOT),
        Variant("longer", "trained on instead of distilled", "longer", "fine-ground"),
        Variant("swept", "matched plane sweep, second by second", "coarse-sweep", "fine-sweep", at_once=1),
        Variant("plane", "plane warp (Eq. 9), second by second", "coarse-plane", "fine-plane", at_once=1),
        Variant("autoregressive-guided", "autoregressive, warp guidance", autoregressive="autoregressive-ground"),
        Variant("second-by-second", "+ warp guidance, second by second", "coarse-ground", "fine-ground", at_once=1),
        *(
            Variant(f"distilled-{steps}", f"{steps} steps of distillation", "distill", "fine-ground", snapshot=steps)
            for steps in SNAPSHOTS
            if steps != DEFAULT_SNAPSHOT
        ),
        Variant("mini", "the full-size mini, second by second", at_once=1, given="mini"),
        Variant("copy", "the first frame, held", given="copy"),
        Variant("codec", "the truth through the codec", given="codec"),
    )
}

FILLERS = {
    "fine": "Fine model without warps",
    "fine-ground": "Fine model",
    "fine-sweep": "Fine model, matched plane sweep",
    "mini": "mini's Fine model",
    "blend": "linear blending",
    "warp": "warp of both ends",
    "sweep": "matched plane sweep of both ends",
}
"""What fills the second between two true keyframes, by name: a part, or something given."""


def needed_parts(names: set[str]) -> set[str]:
    """Parts, and the parts that those start from."""
    found = set(names)
    for name in names:
        part = PARTS[name]
        found |= needed_parts({other for other in (part.starts_from, part.teacher) if other is not None})
    return found
