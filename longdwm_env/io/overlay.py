"""Drawing over camera frames: the planned motion on the road, and the instruments. Arrays in, arrays out."""

import cv2
import numpy as np

from longdwm_env.geometry.camera import project_points
from longdwm_env.geometry.kinematics import CAR
from longdwm_env.io.words import ascii_only
from longdwm_env.types import Camera, FloatArray, Images, ImageSize

PATH_COLOUR = (64, 224, 160)
TEXT_COLOUR = (255, 255, 255)
NEAREST_M = 0.5
"""Points of the road nearer to the camera than this are left out of the drawing: they project without bound."""

_POINTS_PER_POSE = 4


def upscaled(frame: Images, image_size: ImageSize) -> Images:
    """A frame (h, w, 3) enlarged to (H, W, 3) with a smooth kernel; a frame of that size is copied."""
    if frame.shape[:2] == tuple(image_size):
        return frame.copy()
    enlarged = cv2.resize(frame, (image_size[1], image_size[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.uint8)


def draw_path(canvas: Images, camera: Camera, poses: FloatArray) -> None:
    """Draw a planned motion as a ribbon of the car's width on the road, in place; it fades with distance.

    Args:
        canvas: (H, W, 3) the camera's picture at any size.
        camera: the camera; its image may be smaller than the canvas.
        poses: (N, 3) x m, y m, heading rad ahead, in the ego frame of the picture.
    """
    poses = _resampled(np.vstack([np.zeros(3), poses]))
    if np.hypot(*(poses[-1, :2] - poses[0, :2])) < 0.1:
        return
    left = np.stack([-np.sin(poses[:, 2]), np.cos(poses[:, 2]), np.zeros(len(poses))], axis=1) * CAR.width_m / 2
    middle = np.column_stack([poses[:, :2], np.zeros(len(poses))])
    sides = []
    for side in (middle + left, middle - left):
        pixels, depths = project_points(camera, side)
        sides.append((_on_canvas(pixels, camera, canvas), depths))
    (left_px, left_depth), (right_px, right_depth) = sides
    visible = np.minimum(left_depth, right_depth) > NEAREST_M
    strength = np.zeros(canvas.shape[:2], np.float32)
    for i in range(len(poses) - 1):
        if visible[i] and visible[i + 1]:
            quad = np.array([left_px[i], left_px[i + 1], right_px[i + 1], right_px[i]])
            fade = 1 - 0.7 * i / len(poses)
            cv2.fillConvexPoly(strength, _fixed_point(quad), [0.45 * fade], cv2.LINE_AA, _SHIFT)
            for edge in (left_px, right_px):
                ends = _fixed_point(edge[i : i + 2])
                cv2.line(strength, ends[0].tolist(), ends[1].tolist(), [0.95 * fade], 2, cv2.LINE_AA, _SHIFT)
    blend = strength[..., None]
    canvas[:] = (canvas * (1 - blend) + np.array(PATH_COLOUR, np.float32) * blend + 0.5).astype(np.uint8)


def draw_instruments(canvas: Images, speed_mps: float, world: str, frames_per_s: float | None, time_s: float) -> None:
    """Write speed, world, time since reset and frame rate into the corners, in place."""
    height, width = canvas.shape[:2]
    size = height / 640
    margin = round(18 * max(size, 0.5))
    _text(canvas, world, (margin, margin), 0.9 * size, top=True)
    _text(canvas, f"{time_s:.1f} s", (width - margin, height - margin), 0.9 * size, right=True)
    _text(canvas, f"{speed_mps * 3.6:.0f} km/h", (margin, height - margin), 1.6 * size)
    if frames_per_s is not None:
        _text(canvas, f"{frames_per_s:.1f} frames/s", (width - margin, margin), 0.9 * size, top=True, right=True)


def _text(
    canvas: Images, text: str, corner: tuple[int, int], scale: float, *, top: bool = False, right: bool = False
) -> None:
    """Text whose bottom left (or the corner that the flags say) is at a pixel, dark-rimmed to read on any picture."""
    font = cv2.FONT_HERSHEY_DUPLEX
    thickness = max(1, round(1.6 * scale))
    text = ascii_only(text)
    (width, height), _ = cv2.getTextSize(text, font, scale, thickness)
    origin = (corner[0] - width if right else corner[0], corner[1] + height if top else corner[1])
    cv2.putText(canvas, text, origin, font, scale, (0, 0, 0), thickness + max(2, round(3 * scale)), cv2.LINE_AA)
    cv2.putText(canvas, text, origin, font, scale, TEXT_COLOUR, thickness, cv2.LINE_AA)


_SHIFT = 4
"""Bits after the point in OpenCV's drawing coordinates."""


def _fixed_point(pixels: FloatArray) -> np.ndarray:
    return np.round(np.clip(pixels, -1e5, 1e5) * (1 << _SHIFT)).astype(np.int32)


def _on_canvas(pixels: FloatArray, camera: Camera, canvas: Images) -> FloatArray:
    height, width = camera.intrinsics.image_size
    scale = np.array([canvas.shape[1] / width, canvas.shape[0] / height])
    return (pixels + 0.5) * scale - 0.5


def _resampled(poses: FloatArray) -> FloatArray:
    """More poses along the same path, so that a near bend does not show corners."""
    poses = poses.copy()
    poses[:, 2] = np.unwrap(poses[:, 2])
    places = np.linspace(0, len(poses) - 1, (len(poses) - 1) * _POINTS_PER_POSE + 1)
    return np.stack([np.interp(places, np.arange(len(poses)), column) for column in poses.T], axis=1)
