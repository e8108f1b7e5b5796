"""The comparison of the method's variants: what it needs, what it says, and all of it end to end at debug size."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from longdwm_env.cli.building.train_study import StudyName, train_study
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.frechet import frechet_distance, gaussian_of
from longdwm_env.evaluation.paper.continuations import samples_from
from longdwm_env.evaluation.paper.systems import LongDWM, ToldAsTrained
from longdwm_env.evaluation.statistics import Interval
from longdwm_env.evaluation.studies.budget import budgeted, larger
from longdwm_env.evaluation.studies.estimates import Estimate, estimated, verdict
from longdwm_env.evaluation.studies.measures import MEASURES, last_second, windows_in
from longdwm_env.evaluation.studies.questions import STUDIES, chosen_studies
from longdwm_env.evaluation.studies.schedule import Plan
from longdwm_env.evaluation.studies.scores import Scores
from longdwm_env.evaluation.studies.study_folder import StudyFolder
from longdwm_env.evaluation.studies.variants import PARTS, Part, Variant
from longdwm_env.models.presets import build, debug, study
from longdwm_env.models.readers.scorer import DrivingEncoder
from longdwm_env.training.data.footage import record_footage
from longdwm_env.training.estimate import parameter_count
from longdwm_env.training.recipes import recipe
from longdwm_env.training.stages import prepare_latents
from longdwm_env.training.workspace import Workspace

from ..training.scenery import PaintedRoad


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """What a study starts from: footage, latents and a codec."""
    workspace = Workspace(tmp_path_factory.mktemp("source"))
    made = recipe("mini-simulator", "debug")
    workspace.prepare(made)
    prepare_latents(made, workspace, record_footage(PaintedRoad(clips=1), workspace.footage))
    torch.manual_seed(0)
    DrivingEncoder(channels=(8, 8, 16, 16), feature_dim=8).save_pretrained(str(workspace.scorer))
    return workspace


def trained(values: list[float], noise: float = 0.0) -> Estimate:
    draws = np.random.default_rng(0).normal(size=(1, 500)) * noise
    return Estimate(np.array(values), np.array(values)[:, None] + draws, True)


def test_more_seeds_that_agree_make_surer_and_seeds_that_differ_less_sure() -> None:
    alone, agreeing, differing = trained([1.0], 0.3), trained([1.0, 1.0, 1.0], 0.3), trained([0.0, 1.0, 2.0], 0.3)
    assert agreeing.interval.value == differing.interval.value == 1.0
    assert agreeing.interval.low == pytest.approx(alone.interval.low)
    # Student's t of three seeds: 4.30 standard errors.
    assert 1 - differing.interval.low == pytest.approx(
        np.hypot(1 - agreeing.interval.low, 4.303 / np.sqrt(3)), rel=1e-3
    )


def test_differences_are_paired_and_what_is_not_trained_has_no_seeds() -> None:
    noisy = trained([3.0, 5.0, 7.0], 2.0)
    assert (noisy - noisy).interval == Interval(0.0, 0.0, 0.0)
    fixed = Estimate(np.array([1.0]), np.zeros((1, 500)) + 1.0, False)
    assert np.array_equal((noisy - fixed).values, [2.0, 4.0, 6.0])
    assert np.array_equal((fixed - noisy).values, [-2.0, -4.0, -6.0])
    assert (fixed - fixed).seeds == 0
    assert len((noisy - trained([1.0])).values) == 1


def test_a_verdict_needs_an_interval_on_one_side() -> None:
    assert verdict(Interval(2.0, 1.0, 3.0), 0.5) == "confirmed"
    assert verdict(Interval(-2.0, -3.0, -1.0), 0.5) == "not confirmed"
    # Too small to matter is an answer, however sure; not knowing is none.
    assert verdict(Interval(0.2, 0.1, 0.3), 0.5) == "not confirmed"
    assert verdict(Interval(0.1, -0.2, 0.4), 0.5) == "not confirmed"
    assert verdict(Interval(0.4, -0.2, 1.0), 0.5) == "too noisy to say"
    assert verdict(Interval(np.nan, np.nan, np.nan), 0.5) == "not measured"


def test_figures_look_at_the_frames_they_name() -> None:
    assert (windows_in(25), windows_in(69), windows_in(113)) == (3, 10, 17)
    assert last_second(25) == slice(12, 24)
    rng = np.random.default_rng(0)
    truth = Scores({"features": rng.normal(size=(4, 17, 3)), "psnr_db": np.full((4, 112), 100.0)})
    same = Scores({"features": truth.arrays["features"], "psnr_db": np.full((4, 112), 30.0)})
    late = {"features": truth.arrays["features"].copy()}
    late["features"][:, 10:] += 5.0
    once = np.ones(4)
    fds = {name: MEASURES[name].of for name in ("fds@69", "fds@113")}
    assert fds["fds@113"](same, truth)(once) == pytest.approx(0.0, abs=1e-6)
    assert fds["fds@69"](Scores(late), truth)(once) == pytest.approx(0.0, abs=1e-6)
    assert fds["fds@113"](Scores(late), truth)(once) > 1
    # Scenes that come several times count as if their features were written down as often.
    again = late["features"][[0, 0, 2, 3]].reshape(-1, 3)
    wanted = frechet_distance(gaussian_of(truth.arrays["features"].reshape(-1, 3)), gaussian_of(again))
    assert fds["fds@113"](Scores(late), truth)(np.array([2.0, 0, 1, 1])) == pytest.approx(wanted)
    found = estimated(MEASURES["psnr"], [same], truth, True)
    assert found.interval == Interval(30.0, 30.0, 30.0)


def test_declarations_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="start from"):
        Part("odd", "distill", "ground")
    with pytest.raises(InvalidConfig, match="one kind"):
        Variant("odd", "odd", coarse="coarse")
    with pytest.raises(InvalidConfig, match="unknown parts"):
        Variant("odd", "odd", autoregressive="nothing")
    with pytest.raises(InvalidConfig, match="does not have"):
        replace(STUDIES["sweep"], systems=("guided",))
    with pytest.raises(InvalidConfig, match="there are long"):
        chosen_studies(("everything",))


def test_a_plan_has_what_its_studies_need_and_no_more() -> None:
    plan = Plan.of(chosen_studies(("distillation-steps",)), seeds=2)
    assert plan.waves == (
        (("coarse-ground", 0), ("fine-ground", 0)),
        (("distill", 0),),
        (("coarse-ground", 1), ("fine-ground", 1)),
        (("distill", 1),),
    )
    assert plan.encoded == ["ground"]
    assert Plan.of(chosen_studies(("sweep", "warp")), 1).encoded == ["ground", "plane"]
    assert len(plan.measurements) == 1 + 2 * 4
    alone = Plan.of(chosen_studies(("warp-alone",)), seeds=3)
    assert (alone.waves, len(alone.measurements)) == ((), len(STUDIES["warp-alone"].systems))


def test_the_whole_study_end_to_end(
    source: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "study"
    # Of the systems, one of each kind.
    whole, kept = STUDIES["ablation"], ("autoregressive", "guided", "longer", "distilled")
    claims = tuple(claim for claim in whole.claims if {claim.better, claim.worse} <= set(kept))
    monkeypatch.setitem(STUDIES, "ablation", replace(whole, systems=kept, claims=claims))

    def study_again(**options: object) -> str:
        assert train_study(source.root, out, scenes=2, jobs=1, steps=2, device="cpu", **options) in (0, 3)
        return capsys.readouterr().out

    # Between them these have every kind of part and of measurement but gaps, which are measured above.
    asked: tuple[StudyName, ...] = ("ablation", "warp-alone")
    assert "train distill" in study_again(seeds=1, only=asked, plan=True)
    assert not (out / "parts").exists()
    assert "run the command again" in study_again(seeds=1, only=asked, minutes=0.0)
    first = study_again(seeds=1, only=asked)
    assert "done: train distill, seed 0" in first
    results = out / "results"
    for name in asked:
        value = json.loads((results / f"study-{name}.json").read_text())
        assert len(value["rows"]) == len(STUDIES[name].systems)
        for suffix in ("csv", "md"):
            assert (results / f"study-{name}.{suffix}").stat().st_size > 100
        assert f"study-{name}.png" in (results / f"study-{name}.md").read_text()
        assert cv2.imread(str(results / f"study-{name}.png")).shape[0] > 200
    found = {row["verdict"] for row in json.loads((results / "studies.json").read_text())["rows"]}
    assert found <= {"confirmed", "not confirmed", "too noisy to say", "not measured"}
    assert len(found) > 1
    left = Plan.of(chosen_studies(asked), seeds=1).left(StudyFolder(out))
    assert (left.waves, left.measurements) == ((), ())
    assert len(Plan.of(chosen_studies(asked), seeds=2).left(StudyFolder(out)).parts) == 5


def test_every_system_gets_the_same_training_time_and_a_baseline_as_many_parameters() -> None:
    budget = budgeted(1200.0, {"coarse": 0.5, "fine": 0.3, "autoregressive": 0.4, "distill": 1.0})
    spent = {name: budget.minutes(PARTS[name]) for name in ("coarse", "fine", "autoregressive", "distill", "longer")}
    assert spent["coarse"] + spent["fine"] == pytest.approx(spent["autoregressive"], rel=0.01)
    assert spent["longer"] == pytest.approx(spent["distill"] * 100 / 200, rel=0.01)
    for config in (study(), debug()):
        both = parameter_count(config.coarse) + parameter_count(config.fine)
        assert both <= parameter_count(larger(config)) < 1.3 * both
    counts = [parameter_count(model) for model in (study().coarse, study().fine)]
    assert all(1.5e6 < count < 2.5e6 for count in counts)


def test_models_without_a_trajectory_see_none() -> None:
    pipeline = build(debug())
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        for model in (pipeline.coarse, pipeline.fine):
            model.head.conv_out.weight.normal_(std=0.1)
    sample, other = samples_from(PaintedRoad(clips=2, frames=25), 2, 24)
    elsewhere = replace(sample, poses=other.poses)
    unguided = LongDWM("unguided", ToldAsTrained.made_of(pipeline))
    assert np.array_equal(unguided.continued(sample, 24), unguided.continued(elsewhere, 24))
    guided = LongDWM("guided", pipeline)
    assert not np.array_equal(guided.continued(sample, 24), guided.continued(elsewhere, 24))
