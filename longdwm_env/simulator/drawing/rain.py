"""Falling rain: streaks that change from frame to frame, faint enough to leave the picture legible."""

import cv2
import numpy as np

from longdwm_env.simulator.counted_random import generator
from longdwm_env.simulator.drawing.rays import View
from longdwm_env.types import Images

STREAKS = 70


def draw_rain(image: Images, view: View, seed: int, frame: int, speed_mps: float, brightness: float) -> None:
    """Lighten thin streaks of the picture; the faster the car, the more they point away from its course."""
    rng = generator(seed, "rain", frame)
    start = rng.uniform(0, 1, (STREAKS, 2)) * [view.width, view.height]
    near = rng.uniform(0.3, 1.0, STREAKS)[:, None]
    middle = np.array([view.middle_px[0], view.middle_px[1]])
    outward = (start - middle) / view.width
    course = np.array([0.02, 1.0]) + outward * min(speed_mps, 30.0) * 0.06
    end = start + course * near * view.height * 0.055
    mask = np.zeros(image.shape[:2], np.uint8)
    for first, last, strength in zip(
        np.rint(start * 16).astype(int).tolist(), np.rint(end * 16).astype(int).tolist(), near[:, 0], strict=True
    ):
        cv2.line(mask, first, last, (26 + 44 * strength,), 1, cv2.LINE_AA, 4)
    cv2.add(image, cv2.convertScaleAbs(cv2.merge([mask] * 3), alpha=brightness), dst=image)
