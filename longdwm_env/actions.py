"""The four action modes. Each becomes one ``Trajectory``, so all obey the same geometry and the same limits."""

import math
import sys
from collections.abc import Callable, Sequence
from typing import Literal, TypeGuard, get_args

import numpy as np
from gymnasium import spaces

from longdwm_env.clock import FRAME_S, FRAMES_PER_HORIZON, WAYPOINT_TIMES_S
from longdwm_env.errors import InvalidAction, InvalidConfig
from longdwm_env.geometry.kinematics import LIMITS, roll_bicycle
from longdwm_env.geometry.spline import plan_trajectory, trajectory_from_controls
from longdwm_env.types import Camera, EgoState, FloatArray, Trajectory

ActionMode = Literal["trajectory", "control", "command", "goal"]
ACTION_MODES: tuple[str, ...] = get_args(ActionMode)

Action = np.ndarray | int | np.integer
"""Numbers as the action mode's space has them; of a command, which one."""

COMMANDS = ("go straight", "turn left", "turn right", "stop")

MAX_AHEAD_M, MAX_BEHIND_M, MAX_ASIDE_M = 120.0, 20.0, 60.0
"""Bounds of a waypoint: more than a car covers in two seconds; what a car cannot follow is projected, not rejected."""

CRUISE_MPS = 8.0
"""Speed that "go straight" and a far goal pick up when the car is slower; faster cars keep their speed."""

TURN_MPS = 5.0
"""Speed that a turn settles at, as at a junction."""

TURN_RADIUS_M = 10.0
"""Radius of a turn at ``TURN_MPS``; at higher speeds the lateral acceleration decides."""

COMFORTABLE_LATERAL_MPS2 = 2.5
COMFORTABLE_ACCELERATION_MPS2 = 1.5
COMFORTABLE_BRAKING_MPS2 = 3.0
"""What passengers hardly notice, well inside nuPlan's comfort limits (4.89, 2.40 and 4.05 m/s2)."""

FAR_GOAL_M = 60.0
"""A goal farther than this, or above the horizon, gives a direction and no place to stop at."""

ROUNDING = 1e-6
"""Share of a bound's range by which a number may exceed it: wrappers that rescale actions round in float32."""


def action_space(mode: str) -> spaces.Space[Action]:
    """The Gymnasium space of an action mode.

    Raises:
        InvalidConfig: no such mode.
    """
    if not isinstance(mode, str) or mode not in ACTION_MODES:
        raise InvalidConfig(f"action_mode={mode!r} does not exist; there are {', '.join(map(repr, ACTION_MODES))}")
    if mode == "trajectory":
        low = np.tile(np.array([-MAX_BEHIND_M, -MAX_ASIDE_M], np.float32), (len(WAYPOINT_TIMES_S), 1))
        high = np.tile(np.array([MAX_AHEAD_M, MAX_ASIDE_M], np.float32), (len(WAYPOINT_TIMES_S), 1))
        return spaces.Box(low, high, dtype=np.float32)
    if mode == "control":
        low = np.array([-LIMITS.max_steering_rad, -LIMITS.max_braking_mps2], np.float32)
        high = np.array([LIMITS.max_steering_rad, LIMITS.max_acceleration_mps2], np.float32)
        return spaces.Box(low, high, dtype=np.float32)
    if mode == "command":
        return spaces.Discrete(len(COMMANDS))
    return spaces.Box(np.float32(0), np.float32(1), (2,), np.float32)


def checked_action(mode: str, action: object, name: str = "action") -> Action:
    """The action as its space holds it: a float32 array, or an int for a command.

    Args:
        mode: the action mode.
        action: whatever the caller gave.
        name: what to call it in an error.

    Raises:
        InvalidAction: wrong shape or type, a number that is not finite, or one outside the space; the message says
            which number is wrong and what is allowed.
    """
    space = action_space(mode)
    if isinstance(space, spaces.Discrete):
        return _checked_command(action, name)
    assert isinstance(space, spaces.Box)
    try:
        array = np.asarray(as_arrays(action, name))
    except Exception as error:  # whatever a stranger's object raises when it is asked for its numbers
        raise InvalidAction(
            f"{name}: a {mode} action is an array of shape {space.shape}, got a {type(action).__name__}: {error}"
        ) from error
    if array.dtype.kind not in "iuf":
        raise InvalidAction(
            f"{name}: a {mode} action holds real numbers, got {array.dtype} from {type(action).__name__}"
        )
    if array.shape != space.shape:
        raise InvalidAction(f"{name}: a {mode} action has shape {space.shape}, got {array.shape}")
    slack = ROUNDING * (space.high - space.low).astype(np.float64)
    wrong = ~((array >= space.low - slack) & (array <= space.high + slack))
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise InvalidAction(
            f"{name}[{', '.join(map(str, index))}] ({_meaning(mode, index)}) is {array[index]}; "
            f"allowed are finite numbers from {space.low[index]:g} to {space.high[index]:g}"
        )
    return np.clip(array.astype(np.float32), space.low, space.high)


def as_arrays(action: object, name: str = "action") -> object:
    """Actions with every PyTorch tensor in them as an array, whatever its type and device, with or without gradient.

    Raises:
        InvalidAction: a tensor holds no numbers that can be read, such as one on the device "meta".
    """
    if isinstance(action, list | tuple):
        return [as_arrays(each, name) for each in action]
    torch = sys.modules.get("torch")  # without PyTorch there are no tensors
    if torch is None or not isinstance(action, torch.Tensor):
        return action
    try:
        # NumPy has none of the narrow floating-point types.
        narrow = action.is_floating_point() and action.dtype not in (torch.float16, torch.float32, torch.float64)
        return (action.float() if narrow else action).numpy(force=True)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise InvalidAction(f"{name}: the numbers of this tensor cannot be read: {error}") from error


def is_sequence(value: object) -> TypeGuard[Sequence[object] | np.ndarray]:
    """Whether there are several in it, and it is no text."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _checked_command(action: object, name: str) -> int:
    action = as_arrays(action, name)
    array = np.asarray(action) if isinstance(action, int | np.integer | np.ndarray) else None
    allowed = ", ".join(f"{number} ({name})" for number, name in enumerate(COMMANDS))
    if array is None or array.shape != () or array.dtype.kind not in "iu":
        raise InvalidAction(f"{name}: a command is one of the whole numbers {allowed}, got {action!r}")
    if not 0 <= int(array) < len(COMMANDS):
        raise InvalidAction(f"{name}: command {int(array)} does not exist; allowed are {allowed}")
    return int(array)


def _meaning(mode: str, index: tuple[int, ...]) -> str:
    if mode == "trajectory":
        return f"waypoint at {WAYPOINT_TIMES_S[index[0]]:g} s, {('x, metres ahead', 'y, metres to the left')[index[1]]}"
    if mode == "control":
        return ("steering angle, rad", "acceleration, m/s2")[index[0]]
    return ("goal, share of the image's width", "goal, share of the image's height")[index[0]]


def trajectory_from_action(mode: ActionMode, action: Action, ego: EgoState, camera: Camera) -> Trajectory:
    """The motion that an action asks for, projected to what a car can do, in the ego frame.

    Args:
        mode: the action mode.
        action: an action that ``checked_action`` returned.
        ego: present motion of the ego.
        camera: the camera whose image a goal points into.
    """
    values = np.asarray(action, dtype=np.float64)
    if mode == "trajectory":
        return plan_trajectory(values, ego)
    if mode == "control":
        return trajectory_from_controls(float(values[0]), float(values[1]), ego)
    if mode == "command":
        return plan_trajectory(command_waypoints(int(values), ego.speed_mps), ego)
    return plan_trajectory(goal_waypoints(values, ego.speed_mps, camera), ego)


def command_waypoints(command: int, speed_mps: float) -> FloatArray:
    """Waypoints (4, 2) of a command from the present speed.

    Go straight keeps the speed, or picks up ``CRUISE_MPS``. A turn goes to ``TURN_MPS`` on the tightest comfortable
    curve, but not below ``TURN_RADIUS_M``. Stop brakes comfortably until the car stands.
    """
    turn = {"turn left": 1.0, "turn right": -1.0}.get(COMMANDS[command], 0.0)
    straight = 0.0 if COMMANDS[command] == "stop" else max(speed_mps, CRUISE_MPS)
    target = TURN_MPS if turn else straight
    speeds = _speed_profile(speed_mps, lambda driven_m: target)
    curvatures = turn * np.minimum(1 / TURN_RADIUS_M, COMFORTABLE_LATERAL_MPS2 / np.maximum(speeds[1:], 1.0) ** 2)
    return _driven_waypoints(speeds, curvatures)


def goal_waypoints(goal: FloatArray, speed_mps: float, camera: Camera) -> FloatArray:
    """Waypoints (4, 2) towards the point of the road that an image point shows.

    The car takes the circular arc that leaves along its heading and passes through the point (pure pursuit), slows
    down for the curve, and comes to a stop at a point nearer than ``FAR_GOAL_M``.

    Args:
        goal: (2,) shares of the image's width (from the left) and height (from the top).
        speed_mps: present speed.
        camera: the camera that took the image.
    """
    x, y = goal_on_road(goal, camera)
    distance = math.hypot(x, y)
    bearing = math.atan2(y, x)
    curvature = 2 * math.sin(bearing) / distance
    curvature = math.copysign(min(abs(curvature), 1 / TURN_RADIUS_M), curvature)
    in_curve = math.sqrt(COMFORTABLE_LATERAL_MPS2 / max(abs(curvature), 1e-6))
    cruise = min(max(speed_mps, CRUISE_MPS), in_curve)
    length = distance if abs(bearing) < 1e-6 else distance * bearing / math.sin(bearing)

    def allowed(driven_m: float) -> float:
        if distance >= FAR_GOAL_M:
            return cruise
        # Half of the comfortable braking leaves room to correct on the way.
        return min(cruise, math.sqrt(COMFORTABLE_BRAKING_MPS2 * max(length - driven_m, 0.0)))

    speeds = _speed_profile(speed_mps, allowed)
    return _driven_waypoints(speeds, np.full(FRAMES_PER_HORIZON, curvature))


def goal_on_road(goal: FloatArray, camera: Camera) -> tuple[float, float]:
    """The road point (x, y) in the ego frame under an image point; above the horizon, ``FAR_GOAL_M`` that way."""
    intrinsics = camera.intrinsics
    # Pixel centres are at whole numbers, so the image's left edge is at -0.5.
    column = goal[0] * intrinsics.width_px - 0.5
    row = goal[1] * intrinsics.height_px - 0.5
    ray = [(column - intrinsics.cx_px) / intrinsics.fx_px, (row - intrinsics.cy_px) / intrinsics.fy_px, 1.0]
    ego_from_camera = camera.mounting.ego_from_camera
    direction = ego_from_camera[:3, :3] @ ray
    origin = ego_from_camera[:3, 3]
    point = origin + direction * (origin[2] / -direction[2]) if direction[2] < 0 else np.full(3, np.inf)
    if not math.hypot(point[0], point[1]) < FAR_GOAL_M:
        horizontal = direction[:2] / max(math.hypot(direction[0], direction[1]), 1e-9)
        point = FAR_GOAL_M * horizontal
    # A goal beside or behind the front bumper cannot be steered to.
    return max(float(point[0]), 1.0), float(point[1])


def _speed_profile(speed_mps: float, allowed_mps: Callable[[float], float]) -> FloatArray:
    """(T + 1,) speeds that approach ``allowed_mps(driven metres)`` comfortably, at now and the horizon's frames."""
    speeds = [speed_mps]
    driven_m = 0.0
    for _ in range(FRAMES_PER_HORIZON):
        fastest = speeds[-1] + COMFORTABLE_ACCELERATION_MPS2 * FRAME_S
        slowest = max(speeds[-1] - COMFORTABLE_BRAKING_MPS2 * FRAME_S, 0.0)
        speeds.append(min(max(allowed_mps(driven_m), slowest), fastest))
        driven_m += (speeds[-2] + speeds[-1]) / 2 * FRAME_S
    return np.array(speeds)


def _driven_waypoints(speeds_mps: FloatArray, curvatures_per_m: FloatArray) -> FloatArray:
    durations = np.full(FRAMES_PER_HORIZON, FRAME_S)
    drive = roll_bicycle(np.diff(speeds_mps) / FRAME_S, curvatures_per_m, durations, float(speeds_mps[0]))
    poses, *_ = drive.sample(np.array(WAYPOINT_TIMES_S))
    return poses[:, :2]
