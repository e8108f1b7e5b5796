"""Which vehicle to watch in a drive, where it should be seen, and the same pictures without it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from longdwm_env.clock import FPS
from longdwm_env.evaluation.drives.drive_set import SIMULATOR, DriveSet
from longdwm_env.evaluation.drives.recorder import Drive
from longdwm_env.evaluation.worlds.objects import MOMENTS
from longdwm_env.geometry.boxes import seen_boxes, shares_hidden, shares_inside, straight_on
from longdwm_env.geometry.pose import relative_to
from longdwm_env.simulator.conditions import Conditions, conditions_from_prompt
from longdwm_env.simulator.drawing.camera_picture import draw_frame
from longdwm_env.simulator.scene import episode
from longdwm_env.simulator.traffic.stepping import step
from longdwm_env.types import ActorTracks, FloatArray, Images

NEAREST_M, FARTHEST_M, ASIDE_M = 6.0, 35.0, 6.0
"""A vehicle is watched that is this far ahead, and not farther to the side."""

LEAST_PX = 6.0
"""Nothing smaller, in width or height, is watched."""

LEAST_INSIDE = 0.9
"""Share of its box that is in the picture, always."""

MOST_HIDDEN = 0.25
"""Share of its box that others before it may cover."""

_AWAY_M = 1e5


@dataclass(frozen=True)
class Watched:
    """A vehicle ahead.

    Attributes:
        distance_m: ahead of the rear axle at the start.
        boxes_px: (2, 5, 4) left, top, right, bottom at 0, 1, 2, 3 and 4 s, seen from where the ego is then: as the
            simulator has it, and as it would be had it kept speed and heading, which a world that does not know what
            its driver will do may as well show.
    """

    actor: str
    distance_m: float
    boxes_px: FloatArray


def watched(drive: Drive) -> Watched | None:
    """The nearest vehicle ahead that is seen, whole and unhidden, at the start and at each second; None without one."""
    if drive.actors is None or len(drive.frames) <= MOMENTS[-1]:
        return None
    ego_poses = drive.poses[MOMENTS]
    boxes = seen_boxes(drive.actors, MOMENTS, ego_poses, drive.camera)
    ahead = relative_to(drive.actors.poses[0], drive.poses[0])
    near = (ahead[:, 0] > NEAREST_M) & (ahead[:, 0] < FARTHEST_M) & (np.abs(ahead[:, 1]) < ASIDE_M)
    near &= np.cos(ahead[:, 2]) > 0.7
    inside = shares_inside(boxes, drive.camera.intrinsics.image_size)
    hidden = np.stack([shares_hidden(there) for there in boxes])
    for column in np.flatnonzero(near)[np.argsort(ahead[near, 0])]:
        own = boxes[:, column]
        sides = own[:, 2:4] - own[:, :2]
        if not np.isfinite(own).all() or sides.min() < LEAST_PX:
            continue
        if inside[:, column].min() >= LEAST_INSIDE and hidden[:, column].max() <= MOST_HIDDEN:
            kept = seen_boxes(_kept_on(drive.actors), range(len(MOMENTS)), ego_poses, drive.camera)[:, column, :4]
            # It cannot be looked for behind the camera.
            kept = np.where(np.isfinite(kept).all(1, keepdims=True), kept, own[:, :4])
            return Watched(drive.actors.ids[column], float(ahead[column, 0]), np.stack([own[:, :4], kept]))
    return None


def boxes_ahead(drive: Drive) -> FloatArray:
    """(2, 5, 4) where the watched vehicle of a drive that has one may be; see ``Watched``."""
    vehicle = watched(drive)
    assert vehicle is not None, f"no vehicle is watched in scene {drive.seed}"
    return vehicle.boxes_px


def marked(drive: Drive) -> FloatArray:
    """(5, 4) the box of the watched vehicle at ``MOMENTS``, as the simulator has it."""
    return boxes_ahead(drive)[0]


def taken_away(drives: DriveSet, real: Drive) -> Images:
    """What the simulator shows at ``MOMENTS`` without the watched vehicle, (5, H, W, 3); drawn once and kept."""
    vehicle = watched(real)
    actor = None if vehicle is None else vehicle.actor
    name = f"{drives.plan.name}-without-a-vehicle"
    shown = drives.kept(name, SIMULATOR, str(real.seed), lambda: replace(real, frames=without(real, actor, MOMENTS)))
    return shown.frames


def without(drive: Drive, actor: str | None, frames: Sequence[int]) -> Images:
    """Frames of a drive in the simulator as they would be if one vehicle could not be seen; None hides none."""
    return np.stack(redrawn(drive, [(frame, actor) for frame in frames]))


def redrawn(drive: Drive, wanted: Sequence[tuple[int, str | None]]) -> list[Images]:
    """Pictures (H, W, 3) of a drive in the simulator, each at a frame and without a vehicle; None hides none."""
    road, now = episode(drive.seed).road, episode(drive.seed).past[-1]
    conditions = conditions_from_prompt(drive.prompt, Conditions())
    assert conditions is not None
    pictures = {}
    for frame in range(max((frame for frame, _ in wanted), default=-1) + 1):
        pose = drive.poses[frame]
        if frame:
            now = step(road, now, drive.seed, frame, (pose, float(drive.speeds_mps[frame])))
        for place, (at, actor) in enumerate(wanted):
            if at != frame:
                continue
            positions = now.positions_m.copy()
            if actor is not None:
                positions[int(actor.partition("-")[0])] += _AWAY_M
            shown = replace(now, positions_m=positions)
            pictures[place] = draw_frame(road, drive.seed, shown, frame, conditions, drive.camera, pose)
    return [pictures[place] for place in range(len(wanted))]


def _kept_on(actors: ActorTracks) -> ActorTracks:
    """Where all road users would be at ``MOMENTS`` had each kept speed and heading since the start, one frame each."""
    poses = straight_on(actors.poses[0], actors.speeds_mps[0], np.array(MOMENTS) / FPS).swapaxes(0, 1)
    speeds = np.repeat(actors.speeds_mps[:1], len(MOMENTS), axis=0)
    return replace(actors, poses=poses, speeds_mps=speeds, lights=None)
