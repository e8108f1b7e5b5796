import json
import sys
from functools import partial

import numpy as np
import pytest

from longdwm_env.agents.saved import PolicyHeader, write_policy
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.policies import runner as run
from longdwm_env.evaluation.policies.agreement import agreement
from longdwm_env.evaluation.policies.episode_worker import Worker
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig
from longdwm_env.evaluation.policies.policy_figures import agreement_figure
from longdwm_env.evaluation.policies.validation import validate
from longdwm_env.evaluation.worlds.trust import compliance, psnr_db, replayable, sharpness
from longdwm_env.geometry.warp import WarpSettings, warp_images
from longdwm_env.types import Camera, Intrinsics

LADDER = (
    "idm",
    "idm:noise=0.3",
    "idm:noise=1",
    "idm:delay=1",
    "idm:aggression=0.5",
    "idm:traffic=false",
    "constant-velocity",
    "random",
)


def made_up(offsets, noise=0.0, missing=()):
    random = np.random.default_rng(1)
    return [
        {
            "policy": f"p{index}",
            "scene": f"s{scene}",
            "numbers": {} if (index, scene) in missing else {"return": offset + 0.1 * scene + noise * random.normal()},
        }
        for index, offset in enumerate(offsets)
        for scene in range(12)
    ]


NAMES = tuple(f"p{index}" for index in range(8))


def test_a_world_that_is_the_simulator_agrees_perfectly():
    records = made_up(range(8))
    found = agreement(records, records, NAMES, "return")
    assert (found.r2.value, found.spearman.value, found.mmrv.value) == pytest.approx((1.0, 1.0, 0.0))
    assert (found.error.value, found.bias.high) == (0.0, 0.0)
    assert found.scenes == 12


def test_a_shifted_world_keeps_the_order_and_shows_the_shift():
    found = agreement(made_up(range(8)), made_up([i + 2.0 for i in range(8)]), NAMES, "return")
    assert found.r2.value == pytest.approx(1.0)
    assert (found.error.value, found.bias.value) == pytest.approx((2.0, 2.0))
    # Scene by scene the shift is the same, so it is sure however much scenes differ.
    np.testing.assert_allclose(found.difference, 2.0)
    np.testing.assert_allclose(found.difference_interval, 2.0)
    assert np.ptp(found.world_interval, axis=1).min() > 0.1


def test_only_what_both_worlds_have_is_compared():
    some = made_up(range(8), missing={(0, scene) for scene in range(12)} | {(1, 3)})
    found = agreement(made_up(range(8)), some, NAMES, "return")
    assert found.policies == NAMES[1:]
    assert found.error.value == pytest.approx(0.0)
    assert agreement(made_up(range(8)), made_up(range(8)), NAMES, "collision") is None


def test_a_video_that_moves_as_commanded_complies_and_one_that_stands_does_not():
    camera = Camera(Intrinsics.from_fov(1.2, (48, 72)))
    random = np.random.default_rng(0)
    picture = np.kron(random.integers(0, 255, (12, 18, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    poses = np.stack([np.arange(4) * 0.4, np.zeros(4), np.zeros(4)], axis=1)
    moved = warp_images(picture, camera, poses, WarpSettings("ground"))
    assert compliance(moved, poses, camera, 3) > 0.9
    noisy = np.clip(np.stack([picture] * 4) + random.normal(0, 4, (4, 48, 72, 3)), 0, 255).astype(np.uint8)
    assert compliance(noisy, poses, camera, 3) < 0.1
    assert np.isnan(compliance(np.stack([picture] * 4), poses, camera, 3))
    assert psnr_db(picture, picture) == 60.0
    assert sharpness(picture) > sharpness(np.full_like(picture, 9))


def test_what_cannot_be_validated_is_refused(tmp_path):
    for wrong in ({"policies": LADDER[:7]}, {"world": "simulator"}, {"scenes": "somewhere"}):
        config = EvaluationConfig(**{"policies": LADDER, "world": "warp", **wrong})
        with pytest.raises(InvalidConfig):
            validate(config, tmp_path)


def test_the_warp_world_is_validated_end_to_end(tmp_path, monkeypatch):
    def in_this_process(config, jobs, processes):
        worker = Worker(config)
        return ((job, worker.run(job)) for job in jobs)

    # Starting processes is tested elsewhere, and so are intervals; here they would only cost time.
    monkeypatch.setattr(run, "run_in_processes", in_this_process)
    drawing = sys.modules[agreement.__module__]
    few = partial(drawing.resampled_scenes, resamples=20)
    monkeypatch.setattr(drawing, "resampled_scenes", lambda count, _: few(count))
    config = EvaluationConfig(
        LADDER, world="warp", episodes=2, max_episode_s=1.0, image_size=(24, 36), videos=False, first_scene=1_000_000
    )
    result = validate(config, tmp_path, quiet=True)
    assert {"return", "progress_m", "comfort"} <= {term.name for term in result.terms}
    assert "collision" in result.unavailable
    assert result.trust.episodes == 2
    assert 0 <= result.trust.horizon_s <= 1
    page = (tmp_path / "validation.html").read_text()
    assert page.count("data:image/png") == 2
    told = json.loads((tmp_path / "validation.json").read_text())
    assert len(told["terms"]) == len(result.terms)
    assert "the world can be trusted" in result.as_text()
    # None of these drivers looks, so black pictures change nothing, and the control says so.
    assert set(result.control) == {term.name for term in result.terms}
    assert all(term.error.value == 0.0 for term in result.control.values())
    assert told["control"]["return"]["r2"]["value"] == pytest.approx(1.0)
    rows = json.loads((tmp_path / "policies.json").read_text())["rows"]
    assert [row["policy"] for row in rows] == list(LADDER)
    for row in rows:
        assert row["return, simulator"] == row["return, simulator, black pictures"]
        lost = row["return, warp"]["value"] - row["return, simulator"]["value"]
        assert row["return, warp - simulator"]["value"] == pytest.approx(lost)
    assert "| **return** | 8 | 2 |" in (tmp_path / "ranking.md").read_text()


def test_actions_of_a_saved_policy_of_another_mode_are_not_driven_again(tmp_path):
    for mode in ("control", "trajectory"):
        write_policy(tmp_path / f"{mode}.safetensors", PolicyHeader("sb3", mode, "frame", {}), {"a": np.zeros(1)})
    named = [
        "idm",
        "idm:action_mode=control",
        *(str(tmp_path / f"{mode}.safetensors") for mode in ("control", "trajectory")),
    ]
    records = [{"policy": name, "status": "done"} for name in named] + [{"policy": "idm", "status": "failed"}]
    found = replayable(EvaluationConfig(("idm",)), records)
    assert [record["policy"] for record in found] == [named[0], named[3]]


def test_one_scene_gives_no_interval_rather_than_one_of_width_zero():
    one = [record for record in made_up(range(8), noise=0.5) if record["scene"] == "s0"]
    found = agreement(one, made_up(range(8)), NAMES, "return")
    assert found.scenes == 1
    for interval in (found.r2, found.spearman, found.mmrv, found.error, found.bias):
        assert np.isfinite(interval.value)
        assert np.isnan([interval.low, interval.high]).all()
    assert np.isnan(found.simulator_interval).all()
    assert agreement_figure([found], "world").startswith(b"\x89PNG")
