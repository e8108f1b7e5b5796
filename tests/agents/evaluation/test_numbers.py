import numpy as np
import pytest

from longdwm_env.evaluation.policies.episode_metrics import completion, fault
from longdwm_env.evaluation.policies.pdm import pdm_score
from longdwm_env.evaluation.policies.scene_statistics import (
    mean_maximum_rank_violation,
    mean_over_scenes,
    paired_difference,
)
from longdwm_env.types import ActorTracks

PERFECT = {"at_fault_collision": 0.0, "off_road": 0.0, "unsafe_time": 0.0, "comfort": 1.0, "progress_m": 50.0}


def box(x, y, heading=0.0, speed=0.0, frames=1):
    poses = np.tile([x, y, heading], (frames, 1, 1))
    return ActorTracks(poses, np.array([[4.5, 1.8, 1.5]]), np.full((frames, 1), speed), ("other",))


@pytest.mark.parametrize(
    ("other", "speed", "lateral", "guilty"),
    [
        (box(4.5, 0.0, speed=5.0), 10.0, 0.0, True),  # into the back of a slower car
        (box(1.0, 1.5, speed=0.0), 10.0, 0.0, True),  # into a parked car, wherever it is touched
        (box(-2.0, 0.0, speed=15.0), 10.0, 0.0, False),  # hit from behind
        (box(4.5, 0.0, speed=5.0), 0.0, 0.0, False),  # standing
        (box(1.0, 1.7, speed=9.0), 10.0, 0.0, False),  # touched at the side, in its lane
        (box(1.0, 3.2, speed=9.0), 10.0, 1.5, True),  # touched at the side while between lanes
        (box(30.0, 0.0), 10.0, 0.0, False),  # not touched
    ],
)
def test_fault_is_nuplans(other, speed, lateral, guilty, make_scene):
    pose = np.array([[0.0, lateral, 0.0]])
    assert fault(pose, np.array([speed]), other, make_scene().road_map) is guilty


def test_completion_is_the_share_of_the_route():
    route = np.stack([np.linspace(0, 100, 101), np.zeros(101), np.zeros(101)], axis=1)
    assert completion(route, route) == pytest.approx(1.0)
    assert completion(route[:51], route) == pytest.approx(0.5)
    assert completion(route[:1], route) == 0.0
    assert completion(route + np.array([0.0, 10.0, 0.0]), route) == 0.0


def test_pdm_score_is_navsims_formula():
    assert pdm_score(PERFECT, PERFECT)[0] == 1.0
    assert pdm_score({**PERFECT, "at_fault_collision": 1.0}, PERFECT)[0] == 0.0
    assert pdm_score({**PERFECT, "off_road": 1.0}, PERFECT)[0] == 0.0
    assert pdm_score({**PERFECT, "unsafe_time": 0.1}, PERFECT)[0] == pytest.approx(7 / 12)
    assert pdm_score({**PERFECT, "comfort": 0.9}, PERFECT)[0] == pytest.approx(10 / 12)
    assert pdm_score({**PERFECT, "progress_m": 25.0}, PERFECT)[0] == pytest.approx((2.5 + 5 + 2) / 12)


def test_pdm_progress_is_measured_by_the_better_of_both():
    assert pdm_score({**PERFECT, "progress_m": 80.0}, PERFECT)[1]["EP"] == 1.0
    # A reference that crashed made no progress that counts.
    assert pdm_score({**PERFECT, "progress_m": 25.0}, {**PERFECT, "at_fault_collision": 1.0})[1]["EP"] == 1.0
    # Where there is no way on, standing is right.
    jam = {**PERFECT, "progress_m": 2.0}
    assert pdm_score({**PERFECT, "progress_m": 0.0}, jam)[1]["EP"] == 1.0
    assert pdm_score({**jam, "off_road": 1.0}, jam)[1]["EP"] == 0.0


def test_rank_violation_of_two_swapped_policies():
    # SIMPLER: each policy's worst violation is the gap of the swapped pair; the third policy has none.
    assert mean_maximum_rank_violation(np.array([0.2, 0.5, 0.9]), np.array([0.6, 0.4, 0.9])) == pytest.approx(0.2)


def test_scenes_are_drawn_not_episodes():
    # Ten copies of an episode know no more than one.
    few = mean_over_scenes([0.0, 1.0, 2.0], ["a", "b", "c"])
    many = mean_over_scenes([0.0, 1.0, 2.0] * 10, ["a", "b", "c"] * 10)
    assert (many.low, many.high) == (few.low, few.high)
    assert (many.count, many.scenes) == (30, 3)


def test_paired_differences_take_the_scene_out():
    first = {f"s{i}": float(i) for i in range(20)}
    second = {scene: value - 1.0 for scene, value in first.items()}
    difference = paired_difference(first, second)
    assert (difference.low, difference.mean, difference.high) == pytest.approx((1.0, 1.0, 1.0))
    assert paired_difference(first, {"other": 1.0}) is None
