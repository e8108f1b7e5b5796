"""Other road users in a warped picture, moved as they move: the warp of what is not part of the static world.

A plane of the road or of a sweep says how the world goes by, not how a car ahead does (LongDWM, section 3.2, warps
everything alike). Where the boxes of the other road users are known at both moments, each one's part of the picture is
taken from where it was seen and put, scaled, where it will be seen, and the warps are made of the picture without them.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from longdwm_env.types import ImageSize

MARGIN = 0.08
"""Of a box on every side that moves along: its outline, and over which it fades into the picture."""

SHADOW = 1.5
"""Below a box the margin is larger: the shadow on the road."""

INPAINT_RADIUS_PX = 2.0


def without_boxes(
    image: UInt8[np.ndarray, "h w 3"], boxes: Float[np.ndarray, "a 5"], which: Bool[np.ndarray, "a"]
) -> UInt8[np.ndarray, "h w 3"]:
    """An image with some boxes painted over from their surroundings (Telea, "An image inpainting technique", 2004).

    Args:
        image: (H, W, 3).
        boxes: (A, 5) left, top, right, bottom in pixels and depth in metres, see ``boxes.image_boxes``.
        which: (A,) whose.
    """
    mask = box_mask((image.shape[0], image.shape[1]), boxes[which])
    if not mask.any() or mask.all():
        return image
    painted: np.ndarray = cv2.inpaint(np.ascontiguousarray(image), mask, INPAINT_RADIUS_PX, cv2.INPAINT_TELEA)
    return painted


def box_mask(image_size: ImageSize, boxes: Float[np.ndarray, "a 5"]) -> UInt8[np.ndarray, "h w"]:
    """1 where any of some boxes is, with its margin; 0 elsewhere.

    Args:
        image_size: (height, width).
        boxes: (A, 5), see ``without_boxes``; NaN for one who is not seen.
    """
    mask = np.zeros(image_size, np.uint8)
    for box in boxes[np.isfinite(boxes).all(axis=1)]:
        left, top, right, bottom = _with_margin(box)
        rows = slice(max(int(np.floor(top)), 0), max(int(np.ceil(bottom)) + 1, 0))
        mask[rows, max(int(np.floor(left)), 0) : max(int(np.ceil(right)) + 1, 0)] = 1
    return mask


def paste_boxes(
    views: UInt8[np.ndarray, "v h w 3"],
    image: UInt8[np.ndarray, "h w 3"],
    now: Float[np.ndarray, "a 5"],
    later: Float[np.ndarray, "a 5"],
    which: Bool[np.ndarray, "a"],
) -> None:
    """Put what an image shows in some boxes where these will be, into views of that moment, in place.

    Args:
        views: (V, H, W, 3), changed; the nearest box is put last.
        image: (H, W, 3) as it is now.
        now: (A, 5) boxes in it.
        later: (A, 5) where they will be; NaN for those who will not be seen.
        which: (A,) whose.
    """
    height, width = image.shape[:2]
    going = np.flatnonzero(which & np.isfinite(later).all(axis=1))
    for index in going[np.argsort(-later[going, 4], kind="stable")]:
        source, target = _with_margin(now[index]), _with_margin(later[index])
        low = np.clip(np.floor(target[:2]).astype(int), 0, (width, height))
        high = np.clip(np.ceil(target[2:]).astype(int) + 1, 0, (width, height))
        if (high <= low).any():
            continue
        scale = (source[2:] - source[:2]) / (target[2:] - target[:2])
        first = source[:2] + scale * (low - target[:2])
        image_from_part = np.array([[scale[0], 0, first[0]], [0, scale[1], first[1]]])
        columns, rows = (int(side) for side in high - low)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        part = cv2.warpAffine(image, image_from_part, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        fade = np.maximum(MARGIN * (later[index, 2:4] - later[index, :2]), 1.0)
        across, down = (
            np.minimum(places - begin, end - places) / width_px
            for places, begin, end, width_px in zip(
                (np.arange(low[0], high[0]), np.arange(low[1], high[1])), target[:2], target[2:], fade, strict=True
            )
        )
        share = np.clip(np.minimum(across[None, :], down[:, None]) + 0.5, 0, 1).astype(np.float32)[..., None]
        under = views[:, low[1] : high[1], low[0] : high[0]]
        under[:] = np.rint(share * part + (1 - share) * under).astype(np.uint8)


def _with_margin(box: Float[np.ndarray, "5"]) -> Float[np.ndarray, "4"]:
    across, down = MARGIN * (box[2:4] - box[:2])
    return np.array([box[0] - across, box[1] - down, box[2] + across, box[3] + SHADOW * down])
