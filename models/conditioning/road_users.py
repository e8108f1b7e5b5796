"""The other road users of a generated world: where they go, and whose part of the picture can be moved with them.

What the pictures say of their motion is not enough (docs/decisions/moved-vehicles.md has figures), so a world keeps
their boxes beside its frames. Reactive traffic (``longdwm_env.traffic``) moves them as long as the drive lasts, near or
far; constant traffic is only those at the start, on along their lanes at the speed they have, until the camera loses
sight of them. The Coarse model is given moved parts of the picture of those whose picture is known.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from longdwm_env import clock
from longdwm_env.geometry.boxes import image_boxes, shares_hidden, shares_inside
from longdwm_env.geometry.layout import CENTRE_LINE, LINE, RoadLayout
from longdwm_env.geometry.pose import compose
from longdwm_env.traffic.meanwhile import TrafficKind, begin, checked_traffic, kind_of, react
from longdwm_env.traffic.traffic_record import Begun, Meanwhile
from longdwm_env.types import (
    ActorTracks,
    Camera,
    FloatArray,
    ImageSize,
    Scene,
    Trajectory,
    WorldState,
    wrap_angle,
)

FARTHEST_M, LEAST_PX2 = 70.0, 6.0
"""Who is farther away, or smaller, is scenery."""

LEAST_INSIDE, MOST_HIDDEN = 0.3, 0.5
"""Shares of a box that must be in the picture, and that one before it may cover, for its picture to be moved."""

NEAR_LINE_M = 6.0
"""How far the line may be that a road user drives along."""

ALONG_RAD = 0.5
"""How far its direction may differ from his."""

LEAST_LENGTH = 3.0
"""What counts as a line with a direction is that much longer than wide."""


@dataclass(frozen=True)
class RoadUsers:
    """Who else is on the roads of a generated world, and where they go; states keep the rest.

    Attributes:
        shown: whether the model is given road users; where it is not, there are none unless they are asked for.
        traffic: "reactive", "constant" or "none"; None for what a scene has.
    """

    shown: bool
    traffic: TrafficKind | None = None

    def __post_init__(self) -> None:
        checked_traffic(self.traffic)

    def begin(self, scene: Scene, camera: Camera) -> Begun:
        """What a state keeps of them at a scene's start: arrays, values, and their boxes at one frame."""
        if scene.driven is not None:
            # The scene's own road users are those of its start; here they are those of the drive so far.
            known = scene.driven.actors
            scene = replace(scene, actors=None if known is None else known.during(slice(-1, None)))
        kind = kind_of(scene, self.traffic) if self.shown or self.traffic is not None else "none"
        if kind == "none":
            # Asked to have none where some are known, a world knows that there are none.
            none_known = None
            if scene.actors is not None and self.traffic == "none":
                none_known = scene.actors.during(slice(1)).of(np.zeros(0, int))
            return Begun({}, {"traffic": "none"}, none_known)
        if kind == "constant":
            assert scene.actors is not None
            seen = still_known(scene.actors.during(slice(1)), scene.start.pose, camera)
            return Begun({}, {"traffic": "constant"}, seen)
        # All of them go on; only those that can be seen are in the first picture.
        begun = begin(scene)
        assert begun.actors is not None
        seen = still_known(begun.actors, scene.start.pose, camera)
        if scene.driven is not None and "pictured" in scene.driven.values:
            seen = seen.of(np.isin(seen.ids, scene.driven.values["pictured"]))
        return replace(begun, values={**begun.values, "traffic": "reactive", "pictured": list(seen.ids)})

    def ahead(
        self,
        state: WorldState,
        trajectory: Trajectory,
        camera: Camera,
        layout: RoadLayout | None,
        frames: int = clock.FRAMES_PER_INTERVAL,
    ) -> Meanwhile:
        """Where they are during the next second, now and at 12 frames.

        Args:
            state: of the world, with the ego's ``track``.
            trajectory: that the ego drives.
            camera: the camera.
            layout: of the road in the world frame; None where there is no map.
            frames: how many of the twelve will be driven at most; others may be left out.
        """
        now, step = state.arrays["track"][-1], clock.FRAMES_PER_INTERVAL
        if state.values.get("traffic") == "reactive":
            poses = compose(now, np.asarray(trajectory.poses[:step], dtype=np.float64))
            return react(state, poses, trajectory.speeds_mps[:step], frames)
        # States that were saved before there was a choice have constant traffic.
        known = None if state.actors is None else still_known(state.actors, now, camera)
        return Meanwhile(None if known is None else driven_on(known, layout, step), lambda count: {})


def pictured(state: WorldState, tracks: ActorTracks | None, camera: Camera) -> ActorTracks | None:
    """Those of some road users whose picture is known: seen since they were in a picture that was no model's.

    Args:
        state: of the world, with the ego's ``track``.
        tracks: of road users, the state's present frame first.
        camera: the camera.
    """
    if tracks is None or "pictured" not in state.values:
        return tracks
    known = tracks.of(np.isin(tracks.ids, state.values["pictured"]))
    seen = still_known(known.during(slice(1)), state.arrays["track"][-1], camera)
    return known.of(np.isin(known.ids, seen.ids))


def present_during(tracks: ActorTracks, frames: int) -> ActorTracks:
    """The first frame of some tracks and a number of frames after it, without those who are at none of them."""
    driven = tracks.during(slice(frames + 1))
    return driven.of(np.isfinite(driven.poses[..., 0]).any(axis=0))


def in_view(boxes: FloatArray, image_size: ImageSize) -> NDArray[np.bool_]:
    """Whose part of a picture can be moved, (A,): near, large and unhidden enough, and inside.

    Args:
        boxes: (A, 5) of ``boxes.image_boxes``; NaN for who is not seen.
        image_size: (height, width).
    """
    large = (boxes[:, 2:4] - boxes[:, :2]).prod(axis=1) > LEAST_PX2
    inside = shares_inside(boxes, image_size) > LEAST_INSIDE
    near, unhidden = boxes[:, 4] < FARTHEST_M, shares_hidden(boxes) <= MOST_HIDDEN
    return np.asarray(large & inside & near & unhidden)


def still_known(actors: ActorTracks, ego_pose: FloatArray, camera: Camera) -> ActorTracks:
    """The road users at the last frame of some tracks, one frame, without those whose picture cannot be moved.

    Who is too far is forgotten as well: a car of three pixels, moved nearer second by second, becomes a smear.

    Args:
        actors: A of them.
        ego_pose: (3,) of the ego at that frame, in the frame of the tracks.
        camera: the camera.
    """
    kept = in_view(image_boxes(actors.poses[-1], actors.sizes_m, ego_pose, camera), camera.intrinsics.image_size)
    return actors.during(slice(-1, None)).of(kept)


def driven_on(actors: ActorTracks, layout: RoadLayout | None, frames: int) -> ActorTracks:
    """Where all are at a number of frames to come: as fast as now, and in the direction of the lines beside each.

    Args:
        actors: at one frame.
        layout: of the road, in the frame of the tracks; None where there is no map, and all drive straight on.
        frames: T.

    Returns:
        T + 1 frames, the first being the one given.
    """
    poses = [np.array(actors.poses[0])]
    middles, directions = _lines(layout)
    for _ in range(frames):
        now = poses[-1].copy()
        now[:, 2] = _along(now, middles, directions)
        driven = actors.speeds_mps[0] * clock.FRAME_S
        now[:, 0] += driven * np.cos(now[:, 2])
        now[:, 1] += driven * np.sin(now[:, 2])
        poses.append(now)
    speeds = np.repeat(actors.speeds_mps[:1], frames + 1, axis=0)
    lights = None if actors.lights is None else np.repeat(actors.lights[:1], frames + 1, axis=0)
    return replace(actors, poses=np.stack(poses), speeds_mps=speeds, lights=lights)


def _lines(layout: RoadLayout | None) -> tuple[FloatArray, FloatArray]:
    """Middles (L, 2) and directions (L,) rad of all lines that are longer than wide."""
    if layout is None:
        return np.zeros((0, 2)), np.zeros(0)
    corners = layout.corners_m[np.isin(layout.kinds, (LINE, CENTRE_LINE))].astype(np.float64)
    sides = (corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1])
    first, second = (np.hypot(*side.T) for side in sides)
    longer = np.where((first > second)[:, None], *sides)
    clear = np.maximum(first, second) > LEAST_LENGTH * np.minimum(first, second)
    return corners[clear].mean(axis=1), np.arctan2(longer[clear, 1], longer[clear, 0])


def _along(poses: FloatArray, middles: FloatArray, directions: FloatArray) -> FloatArray:
    """(A,) heading of the line nearest to each of (A, 3) poses among those that lead his way; his own without one."""
    headings = poses[:, 2].copy()
    if not len(middles) or not len(poses):
        return headings
    # A line has no sense of its own: half a turn is nothing.
    turned = wrap_angle(2 * (directions[None] - headings[:, None])) / 2
    distance = np.hypot(*(middles[None] - poses[:, None, :2]).transpose(2, 0, 1))
    distance = np.where((np.abs(turned) < ALONG_RAD) & np.isfinite(distance), distance, np.inf)
    nearest = distance.argmin(axis=1)
    rows = np.arange(len(poses))
    there = distance[rows, nearest] < NEAR_LINE_M
    return np.where(there, headings + turned[rows, nearest], headings)
