"""A frame as it was seen from elsewhere, taken to another view by the depths that a map and boxes of road users give.

Where the paper warps everything by one plane (LongDWM, Eq. 9), each pixel here has the depth of what the map says is
there: road, wall, tree, or a road user, who takes his part of the picture with him as he moves. Where the map does not
know, the ground and the far sky remain, and the mask says that they may be wrong.
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from longdwm_env.geometry.map_view.map_picture import MapPicture, pixel_rays
from longdwm_env.geometry.map_view.upright import STATIC
from longdwm_env.geometry.pose import as_matrix, inverse
from longdwm_env.types import ActorTracks, Camera, FloatArray

TOLERANCE, TOLERANCE_PER_M = 0.25, 0.004
"""How far inverse depths of one thing from two places may differ: a share of it, and 1/m."""


def reprojected(
    image: UInt8[np.ndarray, "h w 3"],
    source: MapPicture,
    source_pose: FloatArray,
    source_frame: int,
    target: MapPicture,
    target_pose: FloatArray,
    target_frame: int,
    others: ActorTracks | None,
    camera: Camera,
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
    """What an image shows of another view.

    Args:
        image: (H, W, 3) seen from the source.
        source: what the map shows there.
        source_pose: (3,) of the ego, in the frame of ``others``.
        source_frame: of the tracks.
        target: what the map shows at the new view.
        target_pose: (3,).
        target_frame: of the tracks.
        others: the road users that ``owners`` of both map pictures number.
        camera: of both.

    Returns:
        (H, W, 3) uint8, and (H, W) uint8, 255 where the image does show what the map says is at the pixel.
    """
    K = camera.intrinsics.matrix.astype(np.float32)
    ego_from_camera = camera.mounting.ego_from_camera
    world_from_target = as_matrix(np.asarray(target_pose, np.float64)) @ ego_from_camera
    world_from_source = as_matrix(np.asarray(source_pose, np.float64)) @ ego_from_camera
    source_from_world = _inverse(world_from_source)
    rays, depth = pixel_rays(camera), target.inverse_depth
    seen = _through((source_from_world @ world_from_target).astype(np.float32), rays, depth)
    if others is not None:
        owners = target.owners
        for index in np.unique(owners[owners != STATIC]).tolist():
            poses = others.poses[[source_frame, target_frame], index]
            where = owners == index
            if not np.isfinite(poses).all():
                seen[2][where] = -1.0
                continue
            moved = as_matrix(poses[0]) @ as_matrix(inverse(poses[1]))
            through = (source_from_world @ moved @ world_from_target).astype(np.float32)
            seen[:, where] = _through(through, rays[:, where], depth[where])
    ahead = seen[2] > 1e-3
    along, nowhere = seen[2], ~ahead
    np.copyto(along, np.float32(1.0), where=nowhere)
    columns, rows = seen[0], seen[1]
    for line, focal, middle in ((columns, K[0, 0], K[0, 2]), (rows, K[1, 1], K[1, 2])):
        line /= along
        line *= focal
        line += middle
        np.copyto(line, np.float32(-1e4), where=nowhere)
    made = cv2.remap(image, columns, rows, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    height, width = depth.shape
    inside = (columns > -0.5) & (rows > -0.5) & (columns < width - 0.5) & (rows < height - 0.5)
    at = np.rint(rows.clip(0, height - 1)).astype(np.intp)
    at *= width
    at += np.rint(columns.clip(0, width - 1)).astype(np.intp)
    expected = depth / along
    inside &= np.abs(expected - np.take(source.inverse_depth, at)) < TOLERANCE * expected + TOLERANCE_PER_M
    inside &= np.take(source.owners, at) == target.owners
    return made, inside.view(np.uint8) * np.uint8(255)


def _inverse(world_from_camera: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4"]:
    """Of a rigid transform; a general one wakes threads for sixteen numbers."""
    camera_from_world = np.eye(4)
    camera_from_world[:3, :3] = world_from_camera[:3, :3].T
    camera_from_world[:3, 3] = -world_from_camera[:3, :3].T @ world_from_camera[:3, 3]
    return camera_from_world


def _through(
    source_from_target: Float[np.ndarray, "4 4"],
    rays: Float[np.ndarray, "2 *n"],
    inverse_depth: Float[np.ndarray, "*n"],
) -> Float[np.ndarray, "3 *n"]:
    """Directions at the source, (3, ...), of what pixels of the target see.

    The third is the depth at the source over that at the target.
    """
    rotation, shift = source_from_target[:3, :3], source_from_target[:3, 3]
    x, y = rays
    seen, part = np.empty((3, *x.shape), np.float32), np.empty(x.shape, np.float32)
    for made, r, s in zip(seen, rotation, shift, strict=True):
        np.multiply(x, r[0], out=made)
        made += np.multiply(y, r[1], out=part)
        made += r[2]
        made += np.multiply(inverse_depth, s, out=part)
    return seen
