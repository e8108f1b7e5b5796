"""What is seen while the car stands: the picture as it is, but for those who move in it.

Where nothing moves, everything that a model draws again is an error, and a car may stand for minutes: each second a
little more contrast, and a night becomes noise. So while the ego stands, only those parts of its clips are generated in
which other road users come and go. Where it is unknown whether there are any, everything is generated.
"""

import cv2
import numpy as np

from longdwm_env.geometry.boxes import seen_boxes
from longdwm_env.geometry.moved import box_mask
from longdwm_env.types import ActorTracks, Camera, FloatArray, Images

STILL_M, STILL_RAD = 0.02, 1e-3
"""Who moves and turns less than this in a period stands."""

FADE_PX = 1.0
"""Standard deviation of the edge between what is kept and what is generated."""


def stands(poses: FloatArray) -> bool:
    """Whether a car stays where it is at poses (T, 3) to come, in its present frame."""
    return bool(np.hypot(poses[:, 0], poses[:, 1]).max() < STILL_M and np.abs(poses[:, 2]).max() < STILL_RAD)


def held(clip: Images, present: Images, others: ActorTracks, ego_pose: FloatArray, camera: Camera) -> Images:
    """A clip of a car that stands, with the present frame in place of everything that no road user drives through.

    Args:
        clip: (T, H, W, 3), as generated.
        present: (H, W, 3), the frame before it.
        others: the other road users at the present frame and those of the clip, T + 1 frames or more.
        ego_pose: (3,) of the ego, in the frame of the tracks.
        camera: the camera.
    """
    count = len(clip) + 1
    driven = others.poses[:count, :, :2] - others.poses[:1, :, :2]
    moving = np.hypot(driven[..., 0], driven[..., 1]).max(axis=0) > STILL_M
    boxes = seen_boxes(others, range(count), np.repeat(ego_pose[None], count, axis=0), camera)[:, moving]
    mask = box_mask((present.shape[0], present.shape[1]), boxes.reshape(-1, 5))
    wide = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    share = cv2.GaussianBlur(wide.astype(np.float32), (0, 0), FADE_PX)[..., None]
    return np.rint(share * clip + (1 - share) * present).astype(np.uint8)
