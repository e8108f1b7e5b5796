"""``longdwm bench warp``: the homography against the literal forward splatting of LongDWM, Eq. 9."""

import time
from collections.abc import Callable
from functools import partial
from itertools import product
from statistics import median

import numpy as np

SIZES = ((96, 144), (480, 720))


def bench_warp(repeats: int = 9, depth_m: float = 35.0) -> dict[str, object]:
    """Print how long one warped frame takes both ways, and how much the pictures differ.

    A picture is warped along one second of a gentle left turn at 8 m/s. "Literal" moves each pixel to its nearest
    target and inpaints the holes; "shared" gives each pixel to its four neighbours, which is exact enough to compare
    pictures. All inpaint by Navier-Stokes with the same radius; the ways take turns, and the median counts. First
    OpenCV runs on one thread, then on as many as it takes by itself, which is what a user gets.

    Args:
        repeats: how often each way runs, at each size.
        depth_m: the depth of Eq. 9's plane.
    """
    import cv2

    from longdwm_env.geometry.camera import assumed_camera
    from longdwm_env.geometry.kinematics import roll_bicycle
    from longdwm_env.geometry.splat import splat_image
    from longdwm_env.geometry.warp import WarpSettings, warp_and_mask, warp_images

    poses = roll_bicycle(np.zeros(12), np.full(12, 0.02), np.full(12, 1 / 12), 8.0).poses[1:]
    middle = poses[len(poses) // 2]
    results: dict[str, object] = {}
    print(f"one warped frame, mean of {len(poses)} frames, median of {repeats} runs")
    names = ("plane", "ground", "literal", "shared", "ratio", "difference")
    header = " ".join(f"{name:>{width}}" for name, width in zip(names, (9, 9, 10, 10, 7, 11), strict=True))
    print(f"{'size':>9} {'threads':>7} {header}")
    own_threads = cv2.getNumThreads()
    for (height, width), threads in product(SIZES, sorted({1, own_threads})):
        camera, image = assumed_camera((height, width)), benchmark_picture(height, width)
        plane, ground = WarpSettings("plane", depth_m), WarpSettings("ground", depth_m)
        ways: dict[str, tuple[Callable[[], object], int]] = {
            "plane": (partial(warp_images, image, camera, poses, plane), len(poses)),
            "ground": (partial(warp_images, image, camera, poses, ground), len(poses)),
            "literal": (partial(splat_image, image, camera, middle, plane, "nearest"), 1),
            "shared": (partial(splat_image, image, camera, middle, plane, "bilinear"), 1),
        }
        cv2.setNumThreads(threads)
        try:
            seconds = _alternate(ways, repeats)
        finally:
            cv2.setNumThreads(own_threads)
        warped, known = warp_and_mask(image, camera, middle[None], plane)
        splatted, landed = splat_image(image, camera, middle, plane)
        both = known[0] & landed
        difference = float(np.abs(warped[0].astype(float) - splatted)[both].mean())
        ratio = seconds["literal"] / seconds["plane"]
        results[f"{width}x{height}, {threads} threads"] = {**seconds, "ratio": ratio, "mean_difference": difference}
        cells = " ".join(f"{seconds[way] * 1e3:>{w}.2f} ms" for way, w in zip(ways, (6, 6, 7, 7), strict=True))
        print(f"{f'{width}x{height}':>9} {threads:>7} {cells} {ratio:>6.0f}x {difference:>6.2f}/255")
    return results


def benchmark_picture(height: int, width: int) -> np.ndarray:
    """A smooth random picture (H, W, 3) with detail down to about 8 of 720 pixels, the same at every call."""
    import cv2

    random = np.random.default_rng(0)
    picture = np.zeros((height, width, 3), np.float32)
    for cells in (4, 12, 30, 90):
        noise = random.random((cells * 2 // 3, cells, 3), dtype=np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) / cells**0.5
    low, high = picture.min(), picture.max()
    return ((picture - low) / (high - low) * 255).astype(np.uint8)


def _alternate(ways: dict[str, tuple[Callable[[], object], int]], repeats: int) -> dict[str, float]:
    """Median seconds per frame of each way; they take turns, so that a busy moment hits all alike."""
    for run, _ in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (run, frames) in ways.items():
            start = time.perf_counter()
            run()
            seconds[name].append((time.perf_counter() - start) / frames)
    return {name: median(values) for name, values in seconds.items()}
