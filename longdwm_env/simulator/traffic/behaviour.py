"""How drivers decide: HighwayEnv's IDM, MOBIL and steering for all vehicles at once, with bad habits added.

Formulas and parameters are those of ``highway_env.vehicle.behavior.IDMVehicle`` and
``highway_env.vehicle.controller.ControlledVehicle``, with gaps measured from bumper to bumper. Departures: vehicles
look ahead along their route instead of within one lane, brake before slower lanes, give way at junctions by predicting
who would meet them there, and never reverse.
"""

from dataclasses import dataclass

import numpy as np

from longdwm_env.clock import FPS, FRAME_S
from longdwm_env.geometry.kinematics import Car
from longdwm_env.simulator.counted_random import fractions
from longdwm_env.simulator.roads.lane_table import NO_LANE, IntArray, LaneTable
from longdwm_env.simulator.traffic.perception import (
    BESIDE_M,
    COLUMN,
    Outlook,
    followers_of,
    futures_of,
    leaders_of,
    paths_of,
)
from longdwm_env.simulator.traffic.traffic_state import Traffic
from longdwm_env.types import FloatArray, wrap_angle

MOST_MPS2 = 6.0
"""IDMVehicle.ACC_MAX."""
EMERGENCY_MPS2 = 8.5
DELTA = 4.0
TAU_PURSUIT_S = 0.1
KP_HEADING = 5.0
KP_LATERAL = 1 / 0.6
MOST_STEERING_RAD = np.pi / 3
LANE_CHANGE_DELAY_S = 1.0
LANE_CHANGE_GAIN_MPS2 = 0.2
LANE_CHANGE_BRAKING_MPS2 = 2.0
APPROACH_BRAKING_MPS2 = 2.2
MEETING_M = 4.6
"""Two who come nearer than this at about the same time are in each other's way."""

BRAKE_BLOCK = round(2.5 * FPS)
LAPSE_BLOCK = 5 * FPS


@dataclass(frozen=True)
class Decision:
    """What every vehicle does during the next frame; (N,) each."""

    accelerations_mps2: FloatArray
    steering_rad: FloatArray
    heading_rates_radps: FloatArray
    lanes: IntArray
    targets: IntArray
    timers_s: FloatArray


def decide(table: LaneTable, traffic: Traffic, frame: int) -> Decision:
    """The accelerations, steering angles and lane changes of all vehicles, from what they see now."""
    count = len(traffic.lanes)
    rows = np.arange(count)
    along, lateral = table.local(traffic.positions_m)
    half = table.widths_m[:, None] / 2
    on_lane = (np.abs(lateral) <= half + BESIDE_M) & (along >= 0) & (along <= table.lengths_m[:, None])
    direction = np.stack([np.cos(traffic.headings_rad), np.sin(traffic.headings_rad)], -1)
    velocities = traffic.speeds_mps[:, None] * direction
    scene = Outlook(table, traffic, along, lateral, on_lane, velocities, traffic.sizes_m[:, 0])

    lanes, targets = _follow_road(scene, rows)
    paths, offsets = paths_of(table, lanes, traffic.routes)
    gaps, leaders = leaders_of(scene, rows, paths, offsets, along[lanes, rows])
    desired = _desired_speeds(scene, paths, offsets, along[lanes, rows])
    accelerations = _idm(scene, rows, desired, gaps, leaders)
    changing = np.flatnonzero(targets != lanes)
    if len(changing):
        target_paths, target_offsets = paths_of(table, targets[changing], traffic.routes[changing])
        target_gaps, target_leaders = leaders_of(
            scene, changing, target_paths, target_offsets, along[targets[changing], changing]
        )
        accelerations[changing] = np.minimum(
            accelerations[changing], _idm(scene, changing, desired[changing], target_gaps, target_leaders)
        )
    stops = _stops(scene, lanes, paths, offsets)
    accelerations = np.minimum(accelerations, _idm_to_point(scene, desired, stops))

    targets, timers = _change_lanes(scene, lanes, targets, desired, gaps, leaders)
    steering, rates = _steer(scene, rows, targets, frame)

    block, within = divmod(frame, BRAKE_BLOCK)
    startled = fractions(traffic.routes, block, 11) < scene.column("brake_rate")
    if within < round(1.3 * FPS):
        accelerations = np.where(startled, np.minimum(accelerations, -6.5), accelerations)
    accelerations = np.clip(accelerations, -EMERGENCY_MPS2, MOST_MPS2)
    crashed = traffic.crashed_s > 0
    accelerations = np.where(crashed, np.minimum(-1.5 * traffic.speeds_mps, -0.1), accelerations)
    return Decision(accelerations, np.where(crashed, 0.0, steering), rates, lanes, targets, timers)


def _follow_road(scene: Outlook, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Lanes and targets after vehicles at the end of one have gone on to the next."""
    table, traffic = scene.table, scene.traffic
    targets = traffic.targets
    ended = scene.along_m[targets, rows] > table.lengths_m[targets] - 0.01
    following = table.following(targets, traffic.routes)
    targets = np.where(ended & (following != NO_LANE), following, targets)
    lanes = traffic.lanes
    # A vehicle nearer to the lane aimed at than to the lane driven in has arrived there.
    beyond = np.maximum(scene.along_m - table.lengths_m[:, None], 0) + np.maximum(-scene.along_m, 0)
    distance = np.abs(scene.lateral_m) + beyond
    lanes = np.where(distance[targets, rows] <= distance[lanes, rows] + 1e-9, targets, lanes)
    left_behind = (scene.along_m[lanes, rows] > table.lengths_m[lanes]) & (lanes != targets)
    onward = table.following(lanes, traffic.routes)
    lanes = np.where(left_behind, np.where(onward != NO_LANE, onward, targets), lanes)
    return lanes, targets


def _desired_speeds(scene: Outlook, paths: IntArray, offsets: FloatArray, here_m: FloatArray) -> FloatArray:
    """Speed limits of the lanes ahead, as far as they must be heeded now."""
    limits = np.where(paths == NO_LANE, np.inf, scene.table.speed_limits_mps[paths])
    # Bends are driven a little faster by those in a hurry, but not in proportion.
    factor = scene.column("speed_factor")[:, None]
    bends = scene.table.turns[paths] != 0
    limits = limits * np.where(bends, np.minimum(factor, 1.12), factor)
    to_go = np.maximum(offsets - here_m[:, None], 0.0)
    return np.sqrt(limits**2 + 2 * APPROACH_BRAKING_MPS2 * to_go).min(1)


def _idm(scene: Outlook, rows: IntArray, desired_mps: FloatArray, gaps_m: FloatArray, leaders: IntArray) -> FloatArray:
    """IDMVehicle.acceleration: free-road term less the interaction with the leader; (M,)."""
    speeds = scene.traffic.speeds_mps[rows]
    headings = scene.traffic.headings_rad[rows]
    closing = scene.velocities[rows] - scene.velocities[leaders]
    closing_mps = closing[:, 0] * np.cos(headings) + closing[:, 1] * np.sin(headings)
    return _idm_formula(scene, rows, speeds, desired_mps, gaps_m, closing_mps)


def _idm_to_point(scene: Outlook, desired_mps: FloatArray, gaps_m: FloatArray) -> FloatArray:
    """IDM towards points where one must stop; inf where there are none."""
    speeds = scene.traffic.speeds_mps
    stop = _idm_formula(scene, np.arange(len(speeds)), speeds, desired_mps, gaps_m, speeds, jam_gap_m=0.8)
    # A vehicle that can no longer stop comfortably goes on.
    feasible = speeds**2 / (2 * EMERGENCY_MPS2) < gaps_m
    return np.where(np.isfinite(gaps_m) & feasible, stop, np.inf)


def _idm_formula(
    scene: Outlook,
    rows: IntArray,
    speeds: FloatArray,
    desired_mps: FloatArray,
    gaps_m: FloatArray,
    closing_mps: FloatArray,
    jam_gap_m: float | None = None,
) -> FloatArray:
    acceleration = scene.column("acceleration_mps2")[rows]
    braking = scene.column("braking_mps2")[rows]
    jam = scene.column("jam_gap_m")[rows] if jam_gap_m is None else jam_gap_m
    wanted = jam + np.maximum(
        speeds * scene.column("time_gap_s")[rows] * (1.0 if jam_gap_m is None else 0.3)
        + speeds * closing_mps / (2 * np.sqrt(acceleration * braking)),
        0.0,
    )
    free = 1 - (speeds / np.maximum(desired_mps, 0.01)) ** DELTA
    # Too fast for the bend ahead is no emergency.
    return acceleration * np.maximum(free, -1.4) - acceleration * (wanted / np.maximum(gaps_m, 0.3)) ** 2


def _stops(scene: Outlook, lanes: IntArray, paths: IntArray, offsets: FloatArray) -> FloatArray:
    """Distance from each front bumper to where it must stop, (N,) inf where nowhere: lane ends and giving way."""
    table, traffic = scene.table, scene.traffic
    rows = np.arange(len(lanes))
    to_end = table.lengths_m[lanes] - scene.along_m[lanes, rows] - scene.lengths_m / 2
    stops = np.where(table.closing[lanes], to_end - 1.0, np.inf)
    enters = (paths[:, 1] != NO_LANE) & table.junctions[paths[:, 1]] & ~table.junctions[lanes]
    waiting = np.flatnonzero(enters & (to_end < 32.0) & (to_end > -1.5))
    if not len(waiting):
        return stops
    times = np.arange(1, 10) * 0.45
    speeds = np.where(enters, np.maximum(traffic.speeds_mps, 4.0), traffic.speeds_mps)
    futures = futures_of(scene, paths, offsets, scene.along_m[lanes, rows], speeds, times)
    # The ego's plans are unknown: it is expected to go straight on.
    futures[0] = traffic.positions_m[0] + scene.velocities[0] * times[:, None]
    arrival_s = np.maximum(to_end, 0.0) / speeds.clip(1.0)
    mine = futures[waiting]
    meets = np.zeros((len(waiting), len(rows)), bool)
    for shift in (-1, 0, 1):
        theirs = np.roll(futures, shift, axis=1)
        distance = np.abs(mine[:, None] - theirs[None]).max(-1)
        if shift:
            distance[:, :, 0 if shift > 0 else -1] = np.inf
        meets |= (distance < MEETING_M).any(-1)
    inside = table.junctions[lanes]
    priority = np.where(inside, 9, table.priorities[np.where(paths[:, 1] == NO_LANE, lanes, paths[:, 1])])
    mine_first = (priority[waiting][:, None] > priority[None]) | (
        (priority[waiting][:, None] == priority[None])
        & (
            (arrival_s[waiting][:, None] < arrival_s[None])
            | ((arrival_s[waiting][:, None] == arrival_s[None]) & (waiting[:, None] < rows[None]))
        )
    )
    relevant = (inside | enters)[None] & (lanes[waiting][:, None] != lanes[None])
    relevant &= ~(paths[waiting][:, :, None] == lanes[None, None]).any(1)
    gives_way = (meets & relevant & ~mine_first).any(1)
    stops[waiting] = np.where(gives_way, np.minimum(stops[waiting], to_end[waiting] - 0.5), stops[waiting])
    return stops


def _change_lanes(
    scene: Outlook, lanes: IntArray, targets: IntArray, desired: FloatArray, gaps: FloatArray, leaders: IntArray
) -> tuple[IntArray, FloatArray]:
    """IDMVehicle.change_lane_policy with MOBIL, for those whose timer has run out."""
    table, traffic = scene.table, scene.traffic
    timers = traffic.timers_s
    due = np.flatnonzero((timers > LANE_CHANGE_DELAY_S) & (lanes == targets) & (traffic.crashed_s == 0))
    if not len(due):
        return targets, timers
    timers, targets = timers.copy(), targets.copy()
    timers[due] = 0.0
    for side in (table.lefts, table.rights):
        candidates = side[lanes[due]]
        here = scene.along_m[candidates, due]
        reachable = (candidates != NO_LANE) & (here >= 0) & (here < table.lengths_m[candidates])
        # No vehicle moves over to a lane that is about to end; one that is in it may leave it at a crawl.
        reachable &= ~table.closing[candidates] & ((traffic.speeds_mps[due] >= 1) | table.closing[lanes[due]])
        movers, new = due[reachable], candidates[reachable]
        if not len(movers):
            continue
        s = scene.along_m[new, movers]
        new_gaps, new_leaders = leaders_of(scene, movers, *paths_of(table, new, traffic.routes[movers]), s)
        mine_after = _idm(scene, movers, desired[movers], new_gaps, new_leaders)
        mine_now = _idm(scene, movers, desired[movers], gaps[movers], leaders[movers])
        to_end = table.lengths_m[lanes[movers]] - scene.along_m[lanes[movers], movers]
        mine_now = np.where(table.closing[lanes[movers]], mine_now - 400.0 / np.maximum(to_end, 1.0), mine_now)
        behind_gap, followers = followers_of(scene, movers, new, s)
        theirs_after = _idm(scene, followers, desired[followers], behind_gap, movers)
        theirs_now = _idm(scene, followers, desired[followers], gaps[followers], leaders[followers])
        nobody = ~np.isfinite(behind_gap)
        theirs_after, theirs_now = np.where(nobody, 0.0, theirs_after), np.where(nobody, 0.0, theirs_now)
        politeness = scene.column("politeness")[movers]
        hurried = table.closing[lanes[movers]] | (politeness < 0)
        safe = theirs_after >= np.where(hurried, -4.5, -LANE_CHANGE_BRAKING_MPS2)
        safe &= (new_gaps > 1.5) & (behind_gap > 1.5)
        gain = mine_after - mine_now + np.maximum(politeness, 0.0) * (theirs_after - theirs_now)
        # Keeping right is a habit, not a rule: the right lane needs no gain, the left lane a little.
        goes = safe & (gain > LANE_CHANGE_GAIN_MPS2)
        goes &= targets[movers] == lanes[movers]
        targets[movers[goes]] = new[goes]
    return targets, timers


def _steer(scene: Outlook, rows: IntArray, targets: IntArray, frame: int) -> tuple[FloatArray, FloatArray]:
    """ControlledVehicle.steering_control about a place in the lane that bad habits move; angles and heading rates."""
    table, traffic = scene.table, scene.traffic
    speeds = traffic.speeds_mps
    along, lateral = scene.along_m[targets, rows], scene.lateral_m[targets, rows]
    ahead_rad = table.heading_at(targets, along + speeds * TAU_PURSUIT_S)
    sideways = -KP_LATERAL * (lateral - wandering_m(traffic, frame))
    heading_command = np.arcsin(np.clip(sideways / np.maximum(speeds, 0.01), -1, 1))
    wanted = ahead_rad + np.clip(heading_command, -np.pi / 4, np.pi / 4)
    rate = KP_HEADING * wrap_angle(wanted - traffic.headings_rad)
    slip = np.arcsin(np.clip(2.5 / np.maximum(speeds, 0.01) * rate, -1, 1))
    return np.clip(np.arctan(2 * np.tan(slip)), -MOST_STEERING_RAD, MOST_STEERING_RAD), rate


def wandering_m(traffic: Traffic, frame: int) -> FloatArray:
    """(N,) where in the lane each driver means to be: weaving, and drifting away in lapses; time alone decides."""
    routes = traffic.routes
    columns = {name: traffic.drivers[:, i] for name, i in COLUMN.items()}
    phase = fractions(routes, 5) * 2 * np.pi
    weaving = columns["swerve_m"] * np.sin(2 * np.pi * frame * FRAME_S / columns["swerve_period_s"] + phase)
    shifted = frame + (fractions(routes, 6) * LAPSE_BLOCK).astype(np.int64)
    block, within = shifted // LAPSE_BLOCK, shifted % LAPSE_BLOCK
    lapses = fractions(routes, block, 7) < columns["lapse_rate"]
    side = np.where(fractions(routes, block, 8) < 0.5, -1.0, 1.0)
    return weaving + np.where(lapses, side * columns["lapse_m"] * np.sin(np.pi * within / LAPSE_BLOCK) ** 2, 0.0)


def steer_ego(traffic: Traffic, rear_axle: FloatArray, decision: Decision, car: Car) -> tuple[FloatArray, float]:
    """The ego's rear axle one frame later under its own driver, as a kinematic bicycle with a car's limits."""
    speed = float(traffic.speeds_mps[0])
    acceleration = float(np.clip(decision.accelerations_mps2[0], -7.0, 3.5))
    new_speed = max(speed + acceleration * FRAME_S, 0.0)
    mean_speed = (speed + new_speed) / 2
    most_rate = min(mean_speed * np.tan(0.5) / car.wheelbase_m, 4.5 / max(mean_speed, 0.1))
    rate = float(np.clip(decision.heading_rates_radps[0], -most_rate, most_rate))
    turn = rate * FRAME_S
    middle = rear_axle[2] + turn / 2
    distance = mean_speed * FRAME_S
    pose = np.array([rear_axle[0] + distance * np.cos(middle), rear_axle[1] + distance * np.sin(middle), 0.0])
    pose[2] = wrap_angle(rear_axle[2] + turn)
    return pose, new_speed
