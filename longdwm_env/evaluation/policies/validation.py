"""``longdwm evaluate --validate``: judge the world that judges policies, against the reference simulator."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from longdwm_env.agents.naming import PolicySpec
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.policies.agreement import TermAgreement, agreement
from longdwm_env.evaluation.policies.episode_metrics import METRICS
from longdwm_env.evaluation.policies.episode_store import EvaluationFolder
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig
from longdwm_env.evaluation.policies.policy_figures import FloatCurve, agreement_figure, curves_figure
from longdwm_env.evaluation.policies.runner import evaluate
from longdwm_env.evaluation.policies.summary import Record, complete
from longdwm_env.evaluation.provenance import command, hashes, versions
from longdwm_env.evaluation.report import Cell, Row, Table, write_page
from longdwm_env.evaluation.statistics import Interval
from longdwm_env.evaluation.worlds.trust import Trust, measure_trust, replayable
from longdwm_env.factory import make_world
from longdwm_env.io.files import atomic_write_json, check_output_file

LEAST_POLICIES = 8
TRUST_EPISODES = 12
"""Episodes whose actions are driven again to compare pictures; from as many scenes as there are."""

COMPARED = ("return", "pdm_score")
"""Numbers that are shown of every policy."""

BLIND = ("R2, black pictures", "Spearman, black pictures")

PANELS = ("agreement with the simulator", "drift: sharpness", "drift: colour", "action compliance")
LABELS = {PANELS[0]: "PSNR (dB)", PANELS[1]: "ratio", PANELS[2]: "difference of 255", PANELS[3]: "share explained"}


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Attributes:
        config: of the run in the world.
        terms: every number that both worlds have.
        control: the same of the simulator with black pictures in the world's place, by number: what of the order is
            there without looking.
        unavailable: numbers that one of the worlds lacks.
        trust: for how long its pictures are near the simulator's.
        hashes: of the files that were driven with.
    """

    config: EvaluationConfig
    terms: tuple[TermAgreement, ...]
    control: Mapping[str, TermAgreement]
    unavailable: tuple[str, ...]
    trust: Trust
    hashes: Mapping[str, str]

    @property
    def world(self) -> str:
        """The world's name."""
        return self.config.world

    def as_text(self) -> str:
        """For the terminal."""
        tables = (table.as_markdown() for table in (self.ranking(), self.policies()))
        trusted = f"the world can be trusted for {self.trust.horizon_s:g} s ({self.trust.episodes} episodes compared)"
        return "\n".join([*tables, trusted])

    def ranking(self) -> Table:
        """A row for each number: how well the policies' means in the world tell those in the simulator."""
        rows = []
        for term in self.terms:
            control = self.control.get(term.name)
            blind = (None, None) if control is None else (_sure(control.r2), _sure(control.spearman))
            found = map(_sure, (term.r2, term.spearman, term.mmrv, term.error, term.bias))
            rows.append((METRICS[term.name].label, (len(term.policies), term.scenes, *found, *blind)))
        return self._table(
            "ranking",
            f"How well {self.world} predicts the simulator",
            ("number", "policies", "scenes", "R2", "Spearman", "MMRV", "mean error", "bias", *BLIND),
            rows,
            "MMRV: mean maximum rank violation, in the unit of the number; 0 is a perfect order. Mean error: how far a "
            "policy's number in this world is from the simulator's.",
            f"Not available in both worlds: {', '.join(METRICS[name].label for name in self.unavailable) or 'none'}.",
        )

    def policies(self) -> Table:
        """A row for each policy: what it achieves in both worlds and without looking, and what the world changes."""
        shown = [term for term in self.terms if term.name in COMPARED]
        columns = [
            f"{METRICS[term.name].label}, {where}"
            for term in shown
            for where in ("simulator", self.world, f"{self.world} - simulator", "simulator, black pictures")
        ]
        rows: list[Row] = [
            (policy, tuple(cell for term in shown for cell in self._achieved(term, policy)))
            for policy in self.config.policies
        ]
        return self._table(
            "policies",
            f"Policies in the simulator and in {self.world}",
            ("policy", *columns),
            rows,
            "The same scenes and seeds for every policy; differences are taken scene by scene.",
        )

    def _achieved(self, term: TermAgreement, policy: str) -> tuple[Cell, ...]:
        control = self.control.get(term.name)
        return (
            *(_row(term, policy, values) for values in ("simulator", "world", "difference")),
            _row(control, policy, "world"),
        )

    def _table(self, name: str, title: str, columns: tuple[str, ...], rows: Sequence[Row], *notes: str) -> Table:
        config = self.config
        facts = {
            "command": command(),
            "scenes": f"{config.first_scene} to {config.first_scene + config.episodes - 1}",
            "seeds": f"{config.seed} to {config.seed + config.episodes - 1}",
            **{f"hash of {one}": digest[:16] for one, digest in self.hashes.items()},
        }
        notes = (*notes, "Black pictures: the control, the same policies in the simulator without seeing anything.")
        return Table(name, title, columns, tuple(rows), config.episodes, facts, notes)


def _sure(found: Interval) -> Cell:
    return None if math.isnan(found.value) else found


def _row(term: TermAgreement | None, policy: str, values: str) -> Cell:
    """What a term says of one policy; None where it has nothing to say."""
    if term is None or policy not in term.policies:
        return None
    row = term.policies.index(policy)
    return Interval(float(vars(term)[values][row]), *map(float, vars(term)[f"{values}_interval"][row]))


def validate(
    config: EvaluationConfig,
    out: Path,
    processes: int = 1,
    cluster: str | None = None,
    rank_by: str | None = None,
    quiet: bool = False,
) -> Validation:
    """Run the same policies on the same scenes in the simulator and in the config's world, and compare.

    The control is the simulator again, with every policy shown black pictures. The three runs are evaluations of their
    own, in ``out/simulator``, ``out/world`` and ``out/blind``, and are gone on with when stopped.

    The config has at least 8 policies, the built-in scenes, and a world other than the simulator; the other arguments
    are those of ``runner.evaluate``.

    Raises:
        InvalidConfig: too few policies, scenes that the simulator cannot drive, or nothing to compare.
    """
    if len(config.policies) < LEAST_POLICIES:
        given = len(config.policies)
        raise InvalidConfig(f"a validation needs at least {LEAST_POLICIES} policies of graded skill, got {given}")
    if config.scenes is not None:
        raise InvalidConfig("a validation runs in the built-in scenes, which the simulator can drive; leave out scenes")
    if config.world == "simulator":
        raise InvalidConfig("a validation compares another world with the simulator; name it with world=")
    for name in ("validation.json", "validation.html"):
        check_output_file(out / name)
    # The pictures are compared pixel by pixel, so the simulator draws what the world draws.
    config = replace(config, image_size=make_world(config.world, config.image_size, config.device).image_size)
    blinded = {name: PolicySpec.parse(name).blinded for name in config.policies}
    truth = replace(config, world="simulator", device=None)
    configs = {
        "simulator": truth,
        "world": config,
        "blind": replace(truth, policies=tuple(dict.fromkeys(blinded.values()))),
    }
    records: dict[str, list[Record]] = {}
    for role, one in configs.items():
        evaluate(one, out / role, processes, cluster, rank_by, quiet)
        records[role] = complete(one, EvaluationFolder(out / role, one, hashes(one)).records())
    in_the_dark = [
        {**record, "policy": name}
        for name, other in blinded.items()
        for record in records["blind"]
        if record["policy"] == other
    ]
    terms: list[TermAgreement] = []
    control: dict[str, TermAgreement] = {}
    missing = []
    for name in METRICS:
        found = agreement(records["simulator"], records["world"], config.policies, name)
        if found is None:
            missing.append(name)
        else:
            terms.append(found)
            without = agreement(records["simulator"], in_the_dark, config.policies, name)
            if without is not None:
                control[name] = without
    chosen = _spread(replayable(config, records["simulator"]), TRUST_EPISODES)
    trust = measure_trust(config, chosen, {"simulator": "simulator", "world": config.world}, quiet)
    result = Validation(config, tuple(terms), control, tuple(missing), trust, hashes(config))
    _write(out, result)
    return result


def _spread(records: Sequence[Record], count: int) -> list[Record]:
    """Episodes of as many scenes as possible, each of another policy in turn."""
    policies = list(dict.fromkeys(record["policy"] for record in records))
    chosen = []
    for place, scene in enumerate(dict.fromkeys(record["scene"] for record in records)):
        own = {record["policy"]: record for record in records if record["scene"] == scene}
        order = policies[place % len(policies) :] + policies[: place % len(policies)]
        chosen += [own[policy] for policy in order if policy in own][:1]
    return chosen[:count]


def _write(out: Path, result: Validation) -> None:
    config = result.config
    origin = {"command": command(), "versions": versions(), "hashes": result.hashes}
    atomic_write_json(out / "validation.json", _as_json(result) | {"config": json.loads(config.to_json())} | origin)
    tables = [result.ranking(), result.policies()]
    for one in tables:
        one.write(out)
    write_page(
        out / "validation.html",
        "validation.html.j2",
        title=f"Validity of {result.world}",
        result=result,
        ranking=tables[0],
        policies=tables[1],
        agreement=agreement_figure(result.terms, result.world),
        curves=curves_figure(_panels(result), LABELS),
    )


def _panels(result: Validation) -> dict[str, dict[str, FloatCurve]]:
    curves = result.trust.curves
    return {
        PANELS[0]: {result.world: curves["agreement"], "frozen first frame": curves["frozen"]},
        PANELS[1]: {result.world: curves["sharpness"]},
        PANELS[2]: {result.world: curves["colour"]},
        PANELS[3]: {result.world: curves["compliance"], "simulator": curves["compliance_simulator"]},
    }


def _as_json(result: Validation) -> dict[str, object]:
    terms = []
    for term in result.terms:
        terms.append({name: _plain(value) for name, value in vars(term).items()})
    curves = {name: [_plain(row) for row in curve] for name, curve in result.trust.curves.items()}
    trust = {"curves": curves, "horizon_s": result.trust.horizon_s, "episodes": result.trust.episodes}
    control = {
        name: {"r2": _plain(term.r2), "spearman": _plain(term.spearman)} for name, term in result.control.items()
    }
    told = {"world": result.world, "terms": terms, "control": control}
    return {**told, "unavailable": list(result.unavailable), "trust": trust}


def _plain(value: object) -> object:
    """As JSON values; None where there is no number."""
    if isinstance(value, Interval):
        return {name: _plain(part) for name, part in vars(value).items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
