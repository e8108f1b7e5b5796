"""Evaluating on a nuScenes dataroot: here one that the simulator exported, as on the real thing."""

import pytest

pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")

from longdwm_env.cli.data.data_sets import export_simulator
from longdwm_env.evaluation.policies.episode_worker import Worker
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig
from longdwm_env.evaluation.policies.runner import evaluate


@pytest.fixture(scope="module")
def dataroot(tmp_path_factory):
    out = tmp_path_factory.mktemp("nuscenes") / "dataset"
    assert export_simulator(out, scenes=1, seconds=8.0, seed=1_000_003, image_size=(48, 72)) == 0
    return out


def test_logged_drives_are_judged_with_their_actors_and_map(dataroot, tmp_path):
    config = EvaluationConfig(
        ("replay", "constant-velocity", "random"),
        world="warp",
        scenes=str(dataroot),
        episodes=2,
        max_episode_s=3.0,
        image_size=(24, 36),
        reference="replay",
        videos=False,
    )
    summary = evaluate(config, tmp_path / "out", quiet=True, here=Worker(config))
    policies = {policy.policy: policy for policy in summary.policies}
    human = policies["replay"].terms
    assert human["ade_m"].estimate.mean < 0.3
    assert human["route_completion"].estimate.mean > 0.9
    assert human["collision"].estimate.mean == 0.0
    assert human["pdm_score"].estimate.mean > 0.5
    assert summary.policies[0].policy == "replay"
    for policy in policies.values():
        for name in ("ade_m", "collision", "off_road", "pdm_score", "min_ttc_s"):
            assert policy.terms[name].unavailable == 0
