"""Recipes are complete and valid; what the command line may change in them is checked."""

import json

import pytest

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.presets import PRESETS
from longdwm_env.training.config import DataConfig, LoopConfig, OptimizerConfig, StageConfig, as_json, overridden
from longdwm_env.training.data.windows import Window
from longdwm_env.training.recipes import RECIPES, recipe


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("size", ["full", "debug"])
def test_recipes_are_complete(name, size):
    made = recipe(name, size)
    assert made.preset in PRESETS
    assert {"coarse", "fine", "warp", "distill", "ar-baseline"} <= set(made.stages)
    json.dumps(as_json(made))
    longest = max(w.history + w.future for stage in made.stages.values() for w in stage.windows)
    assert (made.data.frames - 1) // 12 + 1 >= longest


def test_the_full_size_recipe_is_the_papers_appendix_c():
    made = recipe("cogvideox-2b-nuscenes")
    for stage in ("coarse", "fine"):
        assert made.stage(stage).loop.steps == 10_000
        assert made.stage(stage).loop.batch_size == 8
    assert made.stage("distill").loop.steps == 500
    assert made.stage("distill").loop.batch_size == 4
    assert made.data.frames == 12 * 22 + 1, "whole scenes of nuScenes; thirteen keyframes are 12 s of them"
    settings = PRESETS[made.preset]().settings
    assert settings.image_size == (480, 720)
    assert settings.keyframes == 13


def test_unknown_names_are_refused():
    with pytest.raises(InvalidConfig, match="mini-simulator"):
        recipe("maxi")
    with pytest.raises(InvalidConfig, match="no stage 'scorer'"):
        recipe("cogvideox-2b-nuscenes").stage("scorer")


def test_fields_can_be_overridden_by_name():
    stage = StageConfig(LoopConfig(steps=10))
    changed = overridden(
        stage, {"loop.steps": "20", "optimizer.learning_rate": "1e-4", "use_warp": "false", "loop.precision": "bf16"}
    )
    assert (changed.loop.steps, changed.optimizer.learning_rate) == (20, 1e-4)
    assert (changed.use_warp, changed.loop.precision) == (False, "bf16")
    assert stage.loop.steps == 10
    # What only fits together may be said in any order.
    for order in (("batch_size", "micro_batch_size"), ("micro_batch_size", "batch_size")):
        assert overridden(stage, {f"loop.{name}": "3" for name in order}).loop.micro_batch_size == 3
    windows = overridden(stage, {"windows": "4+1*5,1+12,4+3r*0.5,1+1d"}).windows
    assert windows[:3] == (Window(4, 1, 5.0), Window(1, 12), Window(4, 3, 0.5, self_rollout=True))
    assert windows[3:] == (Window(1, 1, restyled=True),)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("loop.stepz", "1", "no field 'stepz'"),
        ("loop.steps", "many", "no int"),
        ("loop.steps", "0", "at least 1"),
        ("loop.precision", "fp8", "allowed are no, bf16"),
        ("use_warp", "perhaps", "true or false"),
        ("windows", "1", "is no window"),
        ("optimizer.betas", "1", "cannot be given"),
        ("loop.steps.x", "1", "no fields of its own"),
    ],
)
def test_bad_overrides_are_refused(path, value, message):
    with pytest.raises(InvalidConfig, match=message):
        overridden(StageConfig(LoopConfig(steps=10)), {path: value})


def test_fields_of_earlier_versions_are_passed_over_and_said(caplog):
    stage = StageConfig(LoopConfig(steps=10))
    assert overridden(stage, {"choices.texture_weight": "2.5", "loop.steps": "20"}).loop.steps == 20
    assert "choices.texture_weight is no longer there" in caplog.text


def test_configurations_check_themselves():
    with pytest.raises(InvalidConfig, match="multiple"):
        LoopConfig(steps=1, batch_size=6, micro_batch_size=4)
    with pytest.raises(InvalidConfig, match="12 n \\+ 1"):
        DataConfig("simulator", frames=144)
    with pytest.raises(InvalidConfig, match="at least two keyframes"):
        Window(1, 1, self_rollout=True)


def test_learning_rates_rise_and_fall():
    late = OptimizerConfig(learning_rate=1.0, warmup_steps=10, schedule="late-decay", final_ratio=0.1)
    rates = [late.learning_rate_at(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:80] == [1.0] * 71
    assert rates[80:] == sorted(rates[80:], reverse=True)
    assert late.learning_rate_at(100, 100) == pytest.approx(0.1)
    constant = OptimizerConfig(learning_rate=1.0, warmup_steps=0, schedule="constant")
    assert {constant.learning_rate_at(step, 10) for step in range(10)} == {1.0}
    cosine = OptimizerConfig(learning_rate=1.0, warmup_steps=0, schedule="cosine", final_ratio=0.0)
    assert cosine.learning_rate_at(50, 100) == pytest.approx(0.5)
