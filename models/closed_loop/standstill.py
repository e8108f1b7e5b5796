"""What is seen while the car stands: the picture as it is, but for those who move in it.

Where nothing moves, everything that a model draws again is an error, and a car may stand for minutes: each second a
little more contrast, and a night becomes noise. So while the ego stands, only those parts of its clips are generated in
which other road users come and go. Where it is unknown whether there are any, everything is generated.
"""

import cv2
import numpy as np

from longdwm_env.geometry.boxes import seen_boxes
from longdwm_env.geometry.moved import box_mask
from longdwm_env.models.closed_loop.known_map import camera_of
from longdwm_env.types import ActorTracks, FloatArray, Images, WorldState

STILL_M, STILL_RAD = 0.02, 1e-3
"""Who moves and turns less than this in a period stands."""

FADE_PX = 1.0
"""Standard deviation of the edge between what is kept and what is generated."""


def stands(poses: FloatArray) -> bool:
    """Whether a car stays where it is at poses (T, 3) to come, in its present frame."""
    return bool(np.hypot(poses[:, 0], poses[:, 1]).max() < STILL_M and np.abs(poses[:, 2]).max() < STILL_RAD)


def as_seen(clip: Images, state: WorldState, ahead: FloatArray, others: ActorTracks | None, num_frames: int) -> Images:
    """A generated clip as it is seen: of a car that stands, what no road user drives through stays as it was.

    Args:
        clip: (T, H, W, 3), as generated.
        state: of the drive, before it.
        ahead: (T, 3) poses to come, in the present ego frame.
        others: the other road users at the present frame and those of the clip, T + 1 frames or more.
        num_frames: frames to be driven; of a car that stands only these are given.
    """
    if others is None or not stands(ahead[:num_frames]):
        return clip
    clip, present = clip[:num_frames], state.arrays["frames"][-1]
    count = len(clip) + 1
    driven = others.poses[:count, :, :2] - others.poses[:1, :, :2]
    moving = np.hypot(driven[..., 0], driven[..., 1]).max(axis=0) > STILL_M
    boxes = seen_boxes(others, range(count), np.repeat(state.arrays["track"][-1:], count, axis=0), camera_of(state))[
        :, moving
    ]
    mask = box_mask((present.shape[0], present.shape[1]), boxes.reshape(-1, 5))
    wide = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    share = cv2.GaussianBlur(wide.astype(np.float32), (0, 0), FADE_PX)[..., None]
    return np.rint(share * clip + (1 - share) * present).astype(np.uint8)
