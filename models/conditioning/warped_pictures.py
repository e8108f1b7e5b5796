"""What a frame will look like from elsewhere: the pictures that guide both models, before they are encoded.

Training stores their latents, driving encodes them on the way (``views``); both make them here. ``keyframe_views`` and
``clip_views`` give all that a model of these settings is given.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from longdwm_env import clock
from longdwm_env.geometry.layout import RoadLayout, draw_layout
from longdwm_env.geometry.moved import paste_boxes, without_boxes
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.sweep import SweepSettings, images_between, predicted_images
from longdwm_env.geometry.warp import WarpSettings, warp_and_mask, warp_images
from longdwm_env.models.conditioning.road_users import in_view
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.types import Camera, FloatArray, Images, ImageSize

Earlier = tuple[Images, FloatArray]
"""A frame (H, W, 3) of shortly before the present one, and its pose (3,) in the present ego frame."""


def keyframe_reach(horizon_s: float) -> int:
    """How many keyframes ahead are warped for a horizon: at least one."""
    return max(1, int(horizon_s / clock.INTERVAL_S + 1e-9))


def keyframe_views(
    image: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
    poses: Float[np.ndarray, "r 3"],
    earlier: Earlier | None,
    settings: LongDWMSettings,
    boxes: Float[np.ndarray, "b a 5"] | None = None,
) -> tuple[UInt8[np.ndarray, "r v h w 3"], Float[np.ndarray, "r"]]:
    """The present keyframe as it will look from R keyframes ahead, in every way that the Coarse model is given.

    Args:
        image: (H, W, 3) uint8, the present keyframe.
        camera: its camera.
        poses: (R, 3) poses of the new keyframes, one interval apart, in the ego frame of ``image``.
        earlier: for the matched sweep; None where nothing was seen before, and the warp takes its place.
        settings: which views, and how far ahead.
        boxes: (B, A, 5) of A other road users, see ``boxes.image_boxes``: in ``image``, and as they will be seen from
            each new keyframe, as far as that is known, else None. For settings that move vehicles.

    Returns:
        uint8 (R, V, H, W, 3): the warp; with a matched sweep that one before it; then each plane of
        ``settings.coarse_sweep``, whose border is repeated. And float32 (R,), 1 up to the horizon; beyond it the last
        keyframe's views are repeated.
    """
    reach = min(len(poses), keyframe_reach(settings.coarse_warp_horizon_s))
    near = np.asarray(poses, dtype=np.float64)[:reach]
    whole, moved = image, None
    if boxes is not None and settings.move_vehicles:
        moved = in_view(boxes[0], camera.intrinsics.image_size)
        image = without_boxes(whole, boxes[0], moved)
    warped = warp_images(image, camera, near, settings.warp)
    views = [warped]
    if settings.matched_sweep is not None:
        matched = warped
        if earlier is not None:
            matched = predicted_images(image, camera, near, *earlier, warped, settings.matched_sweep)
        views = [matched, warped]
    for depth_m, max_zoom in settings.coarse_sweep:
        plane = WarpSettings(variant="plane", depth_m=depth_m, max_zoom=max_zoom)
        views.append(warp_and_mask(image, camera, near, plane)[0])
    shown = np.stack(views, axis=1)
    if boxes is not None and moved is not None:
        for ahead, later in enumerate(boxes[1 : 1 + reach]):
            paste_boxes(shown[ahead], whole, boxes[0], later, moved)
    mask = np.zeros(len(poses), dtype=np.float32)
    mask[:reach] = float(settings.coarse_warp_horizon_s >= clock.INTERVAL_S)
    return np.concatenate([shown, np.repeat(shown[-1:], len(poses) - reach, axis=0)]), mask


def matched_view(
    image: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
    pose: Float[np.ndarray, "3"],
    earlier: Earlier | None,
    settings: LongDWMSettings,
) -> UInt8[np.ndarray, "h w 3"]:
    """The first of ``keyframe_views`` alone, of one keyframe, with road users where the planes leave them."""
    warped = warp_images(image, camera, pose[None], settings.warp)
    if earlier is None or settings.matched_sweep is None:
        return np.asarray(warped[0])
    return np.asarray(predicted_images(image, camera, pose[None], *earlier, warped, settings.matched_sweep)[0])


def enlarged(image: UInt8[np.ndarray, "h w 3"], image_size: ImageSize) -> UInt8[np.ndarray, "H W 3"]:
    """A picture at a larger size, (height, width); itself where it has that size."""
    if image.shape[:2] == tuple(image_size):
        return image
    return np.asarray(cv2.resize(image, (image_size[1], image_size[0]), interpolation=cv2.INTER_CUBIC), np.uint8)


def layout_pictures(
    layout: RoadLayout | None, camera: Camera, poses: Float[np.ndarray, "t 3"]
) -> tuple[UInt8[np.ndarray, "t h w 3"], Float[np.ndarray, "t"]]:
    """What the map shows of the road from T poses.

    Args:
        layout: in the frame of the poses; None where there is no map.
        camera: whose view is drawn.
        poses: (T, 3).

    Returns:
        uint8 (T, H, W, 3), and float32 (T,), 1 where the map has a road near the pose.
    """
    pictures = np.zeros((len(poses), *camera.intrinsics.image_size, 3), np.uint8)
    mask = np.zeros(len(poses), np.float32)
    if layout is not None:
        for index, pose in enumerate(poses):
            if layout.shows_road(pose):
                pictures[index], mask[index] = draw_layout(layout, camera, pose), 1
    return pictures, mask


def clip_warps(
    image: UInt8[np.ndarray, "h w 3"], camera: Camera, poses: Float[np.ndarray, "t 3"], settings: LongDWMSettings
) -> UInt8[np.ndarray, "t+1 h w 3"]:
    """A clip's first frame, and what it looks like from each later pose (LongDWM, Eq. 9).

    Args:
        image: (H, W, 3) uint8, frame 0.
        camera: its camera.
        poses: (T, 3) poses of frames 1..T in the ego frame of frame 0.
        settings: variant and depth of the warp.
    """
    return np.concatenate([image[None], warp_images(image, camera, np.asarray(poses), settings.warp)])


def backward_clip_warps(
    last_image: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
    poses: Float[np.ndarray, "t 3"],
    settings: LongDWMSettings,
    forward: UInt8[np.ndarray, "t+1 h w 3"],
) -> UInt8[np.ndarray, "t+1 h w 3"]:
    """A clip's last frame as seen from the poses of frames 0..T-1, and itself.

    Args:
        last_image: (H, W, 3) uint8, frame T.
        camera: its camera.
        poses: (T, 3) poses of frames 1..T in the ego frame of frame 0.
        settings: variant and depth of the warp.
        forward: what ``clip_warps`` made of the first frame; it fills what the last frame does not reach.
    """
    poses = np.asarray(poses, dtype=np.float64)
    from_last = relative_to(np.concatenate([np.zeros((1, 3)), poses[:-1]]), poses[-1])
    # Seen from behind, the last frame has a wide rim that it does not reach; inpainting it would take most of the time
    # of a second's geometry, and the first frame's warp shows what is there.
    warped, known = warp_and_mask(last_image, camera, from_last, settings.warp)
    np.copyto(warped, forward[:-1], where=~known[..., None])
    return np.concatenate([warped, last_image[None]])


def clip_between(
    first_image: UInt8[np.ndarray, "h w 3"],
    last_image: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
    poses: Float[np.ndarray, "t 3"],
    sweep: SweepSettings,
    forward: UInt8[np.ndarray, "t+1 h w 3"],
) -> UInt8[np.ndarray, "t+1 h w 3"]:
    """A clip between two known frames, by the planes that take one to the other.

    Args:
        first_image: (H, W, 3) uint8, frame 0.
        last_image: (H, W, 3) uint8, frame T.
        camera: of both.
        poses: (T, 3) poses of frames 1..T in the ego frame of frame 0.
        sweep: how planes are matched.
        forward: what ``clip_warps`` made of the first frame; it fills what neither end shows.
    """
    poses = np.asarray(poses, dtype=np.float64)
    made = images_between(first_image, last_image, camera, poses, forward[1:-1], sweep)
    return np.concatenate([first_image[None], made, last_image[None]])


def clip_views(
    first_image: UInt8[np.ndarray, "h w 3"],
    last_image: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
    poses: Float[np.ndarray, "t 3"],
    settings: LongDWMSettings,
) -> Sequence[UInt8[np.ndarray, "t+1 h w 3"]]:
    """All that the Fine model is given of the frames between two keyframes.

    Args:
        first_image: (H, W, 3) uint8, frame 0.
        last_image: (H, W, 3) uint8, frame T.
        camera: of both.
        poses: (T, 3) poses of frames 1..T in the ego frame of frame 0.
        settings: which views.

    Returns:
        V videos (T + 1, H, W, 3): the first frame warped forward; with ``backward_warp`` the last one warped back;
        with a matched sweep what both ends say together.
    """
    views = [clip_warps(first_image, camera, poses, settings)]
    if settings.backward_warp:
        views.append(backward_clip_warps(last_image, camera, poses, settings, views[0]))
    if settings.matched_sweep is not None:
        views.append(clip_between(first_image, last_image, camera, poses, settings.matched_sweep, views[0]))
    return views
