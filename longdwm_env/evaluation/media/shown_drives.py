"""The drives that the pictures show: one long drive, one moment driven in three directions, one moment in three skies.

All start in built-in scenes that nothing was trained on, and every world goes on from its own pictures.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from longdwm_env.agents.driving.engine.prompt_cycling import with_conditions
from longdwm_env.agents.policies.privileged import trace_lane
from longdwm_env.clock import WAYPOINT_TIMES_S
from longdwm_env.episodes.kept_seeds import FIRST_TEST_SEED
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.drives.plans import LogPlan, Rejected, beside, eased, seen_from
from longdwm_env.evaluation.drives.recorder import Drive, Driver, Recorder
from longdwm_env.simulator.conditions import Conditions

DIRECTIONS: Mapping[str, float] = {"left": 1.0, "straight": 0.0, "right": -1.0}
"""To which side a drive leaves the middle of its lane."""

SKIES: Mapping[str, Conditions] = {
    "sun": Conditions("clear", "day"),
    "fog": Conditions("fog", "day"),
    "night": Conditions("clear", "night"),
}

SkyStart = Literal["kept", "redrawn"]
"""Whether the frames before the start stay as they were when the prompt changes, or are drawn as it says."""

LEAST_SPEED_MPS = 6.0
"""A car that stands at the start sets off; the direction would not show otherwise."""


def log_drive(simulator: Driver, seed: int, seconds: int) -> Drive:
    """What the simulator's sober driver does in the simulator; other worlds are then driven by the same actions.

    Raises:
        InvalidConfig: the scene is not one of the test scenes, or the drive ends before its time.
    """
    _check_seed(seed)
    try:
        return LogPlan(seconds, "normal", perturbed=False).drive(simulator, seed)
    except Rejected as error:
        raise InvalidConfig(f"scene {seed} has no drive of {seconds} s ({error}); choose another scene") from error


def driven_in_directions(driver: Driver, seed: int, seconds: int, aside_m: float) -> dict[str, Drive]:
    """The same moment driven to the left, straight on and to the right; all within the last of ``seconds``.

    ``aside_m`` is how far beside the middle of the lane the drives to the sides end.

    Raises:
        InvalidConfig: the scene is not one of the test scenes, or a drive leaves the road or ends in a collision.
    """
    _check_seed(seed)
    drives = {}
    for name, side in DIRECTIONS.items():
        environment = driver.environment("trajectory")
        recorder = Recorder(environment, seed, name)
        start, road_map = recorder.start.ego, environment.scene.road_map
        assert road_map is not None  # all built-in scenes have one
        speed_mps = max(start.speed_mps, LEAST_SPEED_MPS)
        path, lateral_m = trace_lane(road_map, start.pose, speed_mps * (seconds + WAYPOINT_TIMES_S[-1]))
        for second in range(seconds):
            times_s = second + np.array(WAYPOINT_TIMES_S)
            places = beside(path.at(speed_mps * times_s), eased(times_s / seconds, lateral_m, side * aside_m))
            reason = recorder.step(seen_from(recorder.state.ego, places).astype(np.float32))
            if reason:
                raise InvalidConfig(
                    f"scene {seed} cannot be driven {name}: {reason.replace('_', ' ')} after {second + 1} s; "
                    f"choose another scene, or less than {aside_m:g} m aside"
                )
        drives[name] = recorder.drive()
    return drives


def driven_under_skies(driver: Driver, drive: Drive, start: SkyStart) -> dict[str, Drive]:
    """The same actions from the same moment, in sun, fog and night by the prompt."""
    prompts = {name: with_conditions(drive.prompt, conditions) for name, conditions in SKIES.items()}
    return {name: driver.again(drive, prompt, redrawn=start == "redrawn") for name, prompt in prompts.items()}


def _check_seed(seed: int) -> None:
    if seed < FIRST_TEST_SEED:
        raise InvalidConfig(f"scene {seed} may have been trained on; those from {FIRST_TEST_SEED} on are for showing")
