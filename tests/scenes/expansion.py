"""A map expansion for tests: one straight lane that ends in a junction, in nuScenes' JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np

LOCATION = "boston-seaport"
"""The devkit refuses maps of other places than its four."""


def at(x: float, y: float, heading: float, ahead: float, left: float, turn: float) -> tuple[float, float, float]:
    """A pose given by its place as seen from another one."""
    c, s = np.cos(heading), np.sin(heading)
    return x + c * ahead - s * left, y + s * ahead + c * left, heading + turn


def install_expansion(dataroot: Path, version: str, pose: tuple[float, float, float], ends_m: float = 30.0) -> Path:
    """Write the expansion below a dataroot and say that all its scenes were recorded there."""
    logs = dataroot / version / "log.json"
    logs.write_text(json.dumps([{**log, "location": LOCATION} for log in json.loads(logs.read_text())]))
    path = dataroot / "maps" / "expansion" / f"{LOCATION}.json"
    path.parent.mkdir()
    path.write_text(json.dumps(straight_expansion(*pose, ends_m)))
    return path


def straight_expansion(x: float, y: float, heading: float, ends_m: float = 30.0) -> dict[str, Any]:
    """A lane 4 m wide, from 10 m behind a pose to ``ends_m``, with the opposite direction to its left.

    A connector goes on for 20 m, and both are drivable.
    """
    far_m = ends_m + 20.0
    lane_corners, far_corners = (
        [at(x, y, heading, *place, 0)[:2] for place in ((first, -2), (last, -2), (last, 2), (first, 2))]
        for first, last in ((-10, ends_m), (ends_m, far_m))
    )
    divider = [at(x, y, heading, ahead, 2.5, 0)[:2] for ahead in (-10, ends_m)]
    points = {"lane": lane_corners, "far": far_corners, "divider": divider}
    nodes = {name: [f"{name}{i}" for i in range(len(given))] for name, given in points.items()}
    sides = {"left_lane_divider_segments": [], "right_lane_divider_segments": []}
    empty = ("road_segment", "road_block", "ped_crossing", "walkway", "stop_line", "carpark_area")
    return {
        "version": "1.3",
        "canvas_edge": [500, 500],
        "polygon": [{"token": name, "exterior_node_tokens": nodes[name], "holes": []} for name in ("lane", "far")],
        "node": [
            {"token": token, "x": px, "y": py}
            for name, given in points.items()
            for token, (px, py) in zip(nodes[name], given, strict=True)
        ],
        "line": [{"token": "divider", "node_tokens": nodes["divider"]}],
        "drivable_area": [{"token": "d", "polygon_tokens": ["lane", "far"]}],
        "lane": [{"token": "lane", "polygon_token": "lane", **sides}],
        "lane_connector": [{"token": "far", "polygon_token": "far"}],
        "road_divider": [{"token": "divider", "line_token": "divider", "road_segment_token": None}],
        "arcline_path_3": {
            "lane": [_straight(at(x, y, heading, -10, 0, 0), at(x, y, heading, ends_m, 0, 0), ends_m + 10.0)],
            "far": [_straight(at(x, y, heading, ends_m, 0, 0), at(x, y, heading, far_m, 0, 0), 20.0)],
        },
        "connectivity": {"far": {"incoming": ["lane"], "outgoing": []}},
        **{name: [] for name in (*empty, "lane_divider", "traffic_light")},
    }


def _straight(begin: tuple[float, float, float], end: tuple[float, float, float], length_m: float) -> dict[str, Any]:
    return {
        "start_pose": list(begin),
        "end_pose": list(end),
        "shape": "LSR",
        "radius": 999.0,
        "segment_length": [0, length_m, 0],
    }
