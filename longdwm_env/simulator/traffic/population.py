"""Who is there: the first vehicles of a scene, and new ones for those who have gone, always out of the ego's sight."""

from dataclasses import replace
from typing import Any

import numpy as np

from longdwm_env.simulator.counted_random import generator
from longdwm_env.simulator.roads.road_kinds import RoadPlan
from longdwm_env.simulator.traffic.traffic_state import Traffic
from longdwm_env.simulator.traffic.vehicle_kinds import (
    COLOUR_SHARES,
    KIND_SHARES,
    SIZES_M,
    TRAFFIC_SHARES,
    draw_driver,
    draw_style,
)
from longdwm_env.types import FloatArray

BEHIND_M = 120.0
"""Whoever falls back further than this is out of the story."""
BEYOND_M = 130.0
"""How far beyond sight vehicles are still followed."""
SPAWN_BAND_M = 80.0
HIDDEN_BEHIND_M = 45.0
CLEAR_M = 26.0
WRECK_S = 8.0
RETRY_FRAMES = 5


def renew(road: RoadPlan, traffic: Traffic, seed: int, frame: int) -> Traffic:
    """Give the rows of vehicles that are out of the story to new ones, where the ego cannot see them appear."""
    table = road.table
    rows = np.arange(len(traffic.lanes))
    ego, heading = traffic.positions_m[0], traffic.headings_rad[0]
    delta = traffic.positions_m - ego
    distance = np.hypot(delta[:, 0], delta[:, 1])
    forward = delta[:, 0] * np.cos(heading) + delta[:, 1] * np.sin(heading)
    ended = (table.successor_counts[traffic.lanes] == 0) & ~table.closing[traffic.lanes]
    local_along = _along_own_lane(road, traffic)
    ended &= local_along > table.lengths_m[traffic.lanes] - 3.0
    gone = (distance > road.view_m + BEYOND_M) | ((forward < 0) & (distance > BEHIND_M))
    hidden = (distance > road.view_m) | ((forward < 0) & (distance > HIDDEN_BEHIND_M))
    gone |= (ended | (traffic.crashed_s > WRECK_S)) & hidden
    gone[0] = False
    # Looking for a place is the dear part, so each row is only tried now and then.
    gone &= (rows + frame) % RETRY_FRAMES == 0
    if not gone.any():
        return traffic
    arrays = {name: value.copy() for name, value in traffic.arrays.items()}
    lanes, _, positions, headings = road.places
    to_place = positions - ego
    place_distance = np.hypot(to_place[:, 0], to_place[:, 1])
    place_forward = to_place[:, 0] * np.cos(heading) + to_place[:, 1] * np.sin(heading)
    beyond = (place_distance > road.view_m + 8) & (place_distance < road.view_m + SPAWN_BAND_M)
    # Beyond sight only ahead, where the ego goes; behind only those that will catch up.
    beyond &= place_forward > -0.3 * place_distance
    behind = (place_forward < -0.5 * place_distance) & (place_distance > HIDDEN_BEHIND_M + 12)
    behind &= (place_distance < BEHIND_M - 20) & (np.cos(headings - heading) > 0.5)
    for row in rows[gone][:2]:
        rng = generator(seed, "renew", frame, int(row))
        fresh = _new_vehicle(rng)
        wanted = table.speed_limits_mps[lanes] * fresh["drivers"][0]
        free = beyond | (behind & (wanted > traffic.speeds_mps[0] + 1.5))
        indices = np.flatnonzero(free)
        if not len(indices):
            continue
        place = int(indices[rng.integers(len(indices))])
        others = np.delete(arrays["positions_m"], row, axis=0)
        if np.abs(others - positions[place]).max(-1).min() < CLEAR_M:
            continue
        speed = 0.9 * wanted[place]
        if behind[place]:
            speed = max(speed, min(wanted[place], traffic.speeds_mps[0] + 1.0))
        _put(arrays, int(row), fresh, positions[place], headings[place], lanes[place], speed)
        arrays["generations"][row] += 1
    return replace(traffic, **arrays)


def _along_own_lane(road: RoadPlan, traffic: Traffic) -> FloatArray:
    """(N,) how far each vehicle is along its own lane, by projection on the lane's end."""
    table = road.table
    lanes = traffic.lanes
    ends = table.position(lanes, table.lengths_m[lanes])
    heading = table.heading_at(lanes, table.lengths_m[lanes])
    delta = traffic.positions_m - ends
    return table.lengths_m[lanes] + delta[:, 0] * np.cos(heading) + delta[:, 1] * np.sin(heading)


def _new_vehicle(rng: np.random.Generator) -> dict[str, Any]:
    kind = int(rng.choice(len(KIND_SHARES), p=KIND_SHARES))
    style = draw_style(rng, TRAFFIC_SHARES)
    driver = draw_driver(rng, style)
    if kind >= 4:
        # Lorries and buses are driven by professionals who are in less of a hurry and cannot weave.
        driver[0] = min(driver[0], 0.9)
        driver[3] = min(driver[3], 1.8)
        driver[6] = min(driver[6], 0.25)
    return {
        "kinds": kind,
        "colours": int(rng.choice(len(COLOUR_SHARES), p=COLOUR_SHARES)),
        "drivers": np.array(driver),
        "routes": int(rng.integers(1, 2**62)),
        "timers_s": float(rng.uniform(0, 1)),
    }


def _put(
    arrays: dict[str, np.ndarray],
    row: int,
    fresh: dict[str, Any],
    position: FloatArray,
    heading: float,
    lane: int,
    speed: float,
) -> None:
    for name, value in fresh.items():
        arrays[name][row] = value
    arrays["positions_m"][row] = position
    arrays["headings_rad"][row] = (heading + np.pi) % (2 * np.pi) - np.pi
    arrays["speeds_mps"][row] = speed
    arrays["accelerations_mps2"][row] = 0.0
    arrays["lanes"][row] = arrays["targets"][row] = lane
    arrays["crashed_s"][row] = 0.0


def first_vehicles(
    road: RoadPlan, rng: np.random.Generator, ego_driver: list[float], ego_lane: int, ego_along_m: float
) -> dict[str, np.ndarray]:
    """The arrays of a scene's first traffic, the ego in row 0, no two vehicles closer than is decent."""
    table = road.table
    lanes, _, positions, headings = road.places
    count = 1 + round(road.traffic * rng.uniform(0.45, 1.0))
    arrays: dict[str, np.ndarray] = {
        "positions_m": np.zeros((count, 2)), "headings_rad": np.zeros(count), "speeds_mps": np.zeros(count),
        "accelerations_mps2": np.zeros(count), "lanes": np.zeros(count, np.int64), "targets": np.zeros(count, np.int64),
        "timers_s": np.zeros(count), "routes": np.zeros(count, np.int64), "generations": np.zeros(count, np.int64),
        "kinds": np.zeros(count, np.int64), "colours": np.zeros(count, np.int64), "crashed_s": np.zeros(count),
        "drivers": np.zeros((count, len(ego_driver))),
    }  # fmt: skip
    ego_lanes = np.array([ego_lane])
    ego_position = table.position(ego_lanes, np.array([ego_along_m]))[0]
    ego_heading = float(table.heading_at(ego_lanes, np.array([ego_along_m]))[0])
    ego = _new_vehicle(rng) | {"kinds": 1, "drivers": np.array(ego_driver)}
    speed = float(table.speed_limits_mps[ego_lane]) * ego_driver[0] * float(rng.uniform(0.75, 1.0))
    _put(arrays, 0, ego, ego_position, ego_heading, ego_lane, speed)
    delta = positions - ego_position
    distance = np.hypot(delta[:, 0], delta[:, 1])
    forward = delta[:, 0] * np.cos(ego_heading) + delta[:, 1] * np.sin(ego_heading)
    near = distance < road.view_m + SPAWN_BAND_M
    near &= (forward > 0) | (distance < BEHIND_M - 25)
    indices = rng.permutation(np.flatnonzero(near))
    # Those nearby come first, so that every scene has something to look at.
    indices = indices[np.argsort(distance[indices] > 90, kind="stable")] if rng.random() < 0.6 else indices
    placed = 1
    for place in indices:
        if placed >= count:
            break
        fresh = _new_vehicle(rng)
        driver = np.asarray(fresh["drivers"])
        speed = float(table.speed_limits_mps[lanes[place]] * min(driver[0], 1.1) * rng.uniform(0.75, 0.95))
        sizes = SIZES_M[[int(fresh["kinds"])]][0, 0]
        gap = np.abs(arrays["positions_m"][:placed] - positions[place])
        crowd = np.hypot(gap[:, 0], gap[:, 1])
        same = np.cos(arrays["headings_rad"][:placed] - headings[place]) > 0.5
        beside = _lateral(gap_from := arrays["positions_m"][:placed] - positions[place], headings[place])
        needed = np.where(same & (beside < 2.5), 7.0 + sizes / 2 + 0.9 * speed, 6.0 + sizes / 2)
        if (crowd < needed).any() or not len(gap_from):
            continue
        _put(arrays, placed, fresh, positions[place], float(headings[place]), int(lanes[place]), speed)
        placed += 1
    return {name: value[:placed] for name, value in arrays.items()}


def _lateral(delta: FloatArray, heading: float) -> FloatArray:
    return np.abs(-delta[:, 0] * np.sin(heading) + delta[:, 1] * np.cos(heading))
