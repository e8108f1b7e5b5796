"""``longdwm evaluate --validate``: judge the world that judges policies, against the reference simulator."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.policies.agreement import Interval, TermAgreement, agreement
from longdwm_env.evaluation.policies.episode_metrics import FACTS
from longdwm_env.evaluation.policies.episode_store import EvaluationFolder
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig
from longdwm_env.evaluation.policies.policy_figures import FloatCurve, agreement_figure, curves_figure
from longdwm_env.evaluation.policies.policy_report import picture, table, write_page
from longdwm_env.evaluation.policies.runner import evaluate
from longdwm_env.evaluation.policies.summary import Record, complete
from longdwm_env.evaluation.provenance import command, hashes, versions
from longdwm_env.evaluation.worlds.trust import Trust, measure_trust, replayable
from longdwm_env.factory import make_world
from longdwm_env.io.files import atomic_write_json, check_output_file

LEAST_POLICIES = 8
TRUST_EPISODES = 12
"""Episodes whose actions are driven again to compare pictures; from as many scenes as there are."""

PANELS = ("agreement with the simulator", "drift: sharpness", "drift: colour", "action compliance")
LABELS = {PANELS[0]: "PSNR (dB)", PANELS[1]: "ratio", PANELS[2]: "difference of 255", PANELS[3]: "share explained"}


@dataclass(frozen=True)
class Validation:
    """What a validation found."""

    world: str
    terms: tuple[TermAgreement, ...]
    unavailable: tuple[str, ...]
    trust: Trust

    def as_text(self) -> str:
        """For the terminal."""
        lines = [f"{'number':<24}{'R2':>22}{'Spearman':>22}{'MMRV':>22}{'mean error':>24}"]
        for term in self.terms:
            shown = [_text(x) for x in (term.r2, term.spearman, term.mmrv, term.error)]
            lines.append(f"{FACTS[term.name].label:<24}{shown[0]:>22}{shown[1]:>22}{shown[2]:>22}{shown[3]:>24}")
        if self.unavailable:
            lines.append("not available in both worlds: " + ", ".join(FACTS[name].label for name in self.unavailable))
        lines.append(
            f"the world can be trusted for {self.trust.horizon_s:g} s ({self.trust.episodes} episodes compared)"
        )
        return "\n".join(lines)


def validate(
    config: EvaluationConfig, out: Path, processes: int = 1, cluster: str | None = None, quiet: bool = False
) -> Validation:
    """Run the same policies on the same scenes in the simulator and in the config's world, and compare.

    Both runs are evaluations of their own, in ``out/simulator`` and ``out/world``, and are gone on with when stopped.

    Args:
        config: at least 8 policies; built-in scenes; a world other than the simulator.
        out: folder for the results.
        processes: see ``run.evaluate``.
        cluster: see ``run.evaluate``.
        quiet: no progress bar.

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
    configs = {"simulator": replace(config, world="simulator", device=None), "world": config}
    records: dict[str, list[Record]] = {}
    for role, one in configs.items():
        evaluate(one, out / role, processes, cluster, quiet=quiet)
        records[role] = complete(one, EvaluationFolder(out / role, one, hashes(one)).records())
    terms, missing = [], []
    for name in FACTS:
        found = agreement(records["simulator"], records["world"], config.policies, name)
        if found is None:
            missing.append(name)
        else:
            terms.append(found)
    chosen = _spread(replayable(config, records["simulator"]), TRUST_EPISODES)
    trust = measure_trust(config, chosen, {"simulator": "simulator", "world": config.world}, quiet)
    result = Validation(config.world, tuple(terms), tuple(missing), trust)
    _write(out, config, result)
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


def _write(out: Path, config: EvaluationConfig, result: Validation) -> None:
    origin = {"command": command(), "versions": versions(), "hashes": hashes(config)}
    atomic_write_json(out / "validation.json", _as_json(result) | {"config": json.loads(config.to_json())} | origin)
    header = ["number", "policies", "scenes", "R2", "Spearman", "MMRV", "mean error", "bias"]
    rows = [
        [FACTS[t.name].label, str(len(t.policies)), str(t.scenes)]
        + [_cell(interval) for interval in (t.r2, t.spearman, t.mmrv, t.error, t.bias)]
        for t in result.terms
    ]
    missing = ", ".join(FACTS[name].label for name in result.unavailable) or "none"
    parts = [
        f"<h1>How well {result.world} predicts the simulator</h1>",
        f'<p class="note">{len(config.policies)} policies, {config.episodes} episodes each, in both worlds. Intervals: '
        "95%, resampling scenes. MMRV: mean maximum rank violation, in the unit of the number; 0 is a perfect order. "
        "Mean error: how far a policy's number in this world is from the simulator's. Not available in both worlds, "
        f"and so not compared: {missing}.</p>",
        table(header, rows),
        "<h2>Policies in both worlds</h2>",
        picture(agreement_figure(result.terms, result.world), "each policy in both worlds"),
        "<h2>Trust over time</h2>",
        f'<p class="note">The same actions in both worlds, {result.trust.episodes} episodes. The world agrees better '
        "than the frozen first frame, and complies at least half as well as the simulator, for the first "
        f"<b>{result.trust.horizon_s:g} s</b>.</p>",
        picture(curves_figure(_panels(result), LABELS), "agreement, drift and compliance over time"),
    ]
    write_page(out / "validation.html", f"Validity of {result.world}", parts)


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
    return {"world": result.world, "terms": terms, "unavailable": list(result.unavailable), "trust": trust}


def _plain(value: object) -> object:
    """As JSON values; None where there is no number."""
    if isinstance(value, Interval):
        return asdict(value)
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _text(interval: Interval) -> str:
    if interval.value is None:
        return "-"
    if interval.low is None:
        return f"{interval.value:.2f}"
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _cell(interval: Interval) -> str:
    if interval.value is None:
        return '<span class="none">not defined</span>'
    if interval.low is None or interval.high is None:
        return f"{interval.value:.3g}"
    return f"{interval.value:.3g}<small>{interval.low:.3g} to {interval.high:.3g}</small>"
