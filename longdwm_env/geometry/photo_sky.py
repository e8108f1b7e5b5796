"""Which part of a photograph is sky, where no map says what stands before it: two signs, and each fails elsewhere."""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from longdwm_env.types import Images

LEAST_SHARE = 0.04
"""Share of a photograph that is sky, where any is."""

AS_LIGHT = 0.8
"""Of the median of what both signs say is sky: what is darker stands before it."""

BLUE_SHARE = 0.05
"""Share of a photograph from which on its sky is a blue one."""


def light_sky(picture: Images, rows: int) -> UInt8[np.ndarray, "h w"]:
    """1 where the sky is: light and smooth or blue, down from the picture's upper edge.

    Finds clouds and gaps between branches; takes dim walls of a dark street for sky, too.

    Args:
        picture: (H, W, 3).
        rows: above the horizon; nothing below is sky.
    """
    scale = picture.shape[0] / 96
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 0.7 * scale)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) * scale / 8
    light = np.percentile(grey[: max(rows, 2)], 85)
    smooth = ((slope < 6) & (grey > 0.55 * light)).astype(np.uint8)
    soft = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.7 * scale)
    blue = (soft[..., 2] > 1.35 * soft[..., 0]) & (slope < 12) & (grey > 0.2 * light)
    smooth[rows:] = blue[rows:] = 0
    if blue.mean() > BLUE_SHARE:
        # A blue sky is darker than its clouds, whose edges are neither blue nor smooth.
        around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(3 * scale) + 1,) * 2)
        smooth = cv2.morphologyEx(smooth | blue.astype(np.uint8), cv2.MORPH_CLOSE, around)
        smooth[rows:] = 0
    _, parts = cv2.connectedComponents(smooth, connectivity=4)
    reaching = np.setdiff1d(np.unique(parts[:2]), 0)
    return np.isin(parts, reaching).astype(np.uint8)


def above_its_edge(image: Images, upper: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """(H, W) what of a photograph is sky: in each column what lies above the first step that is steep.

    How steep is tried out (as Shen and Wang, "Sky region detection in a single image for autonomous ground robot
    navigation", 2013), and chosen so that the colours of sky and all else are farthest apart for their spread (Otsu,
    1979). Tells a sky from the walls of a street; takes a wood without a sky for one.

    Args:
        image: (H, W, 3).
        upper: (H, W) what lies above the horizon; nothing else is sky.
    """
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (3, 3), 0)
    steep = cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    colours = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float64)
    rows = np.arange(len(image))[:, None]
    best, found = 0.0, np.zeros(upper.shape, bool)
    for least in np.geomspace(10, 600, 24):
        ends = (steep > least) | ~upper
        above = rows < np.where(ends.any(axis=0), ends.argmax(axis=0), len(image))
        # Without gaps between branches.
        sky = (
            cv2.morphologyEx(np.asarray(above, np.uint8), cv2.MORPH_OPEN, np.ones((3, 5), np.uint8), borderValue=0) > 0
        )
        share = float(sky.mean())
        if not LEAST_SHARE < share < 1:
            continue
        inside, outside = colours[sky], colours[~sky]
        within = share * inside.var(axis=0).sum() + (1 - share) * outside.var(axis=0).sum()
        apart = share * (1 - share) * ((inside.mean(axis=0) - outside.mean(axis=0)) ** 2).sum() / max(within, 1e-6)
        if apart > best:
            best, found = float(apart), sky
    return found


def agreed_sky(picture: Images, upper: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """1 where both signs say sky, and where the first does of what is as light: clouds have edges of their own.

    Args:
        picture: (H, W, 3).
        upper: (H, W) what lies above the horizon; nothing else is sky.
    """
    light = light_sky(picture, int(upper.any(axis=1).sum())) > 0
    above = above_its_edge(picture, upper)
    both = light & above
    if not both.any():
        return np.zeros(light.shape, np.uint8)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(both | (light & (grey >= AS_LIGHT * np.median(grey[both]))), np.uint8)
