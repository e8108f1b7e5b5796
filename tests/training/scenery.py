"""For tests: footage of a painted road from a moving car, exact and made in milliseconds; models and objectives."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from longdwm_env.clock import FRAME_S, FRAMES_PER_INTERVAL
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.layout import LINE, ROAD, RoadLayout
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.sweep import SweepSettings
from longdwm_env.models.closed_loop.samples import Present
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.data.clip import BadClip, Clip
from longdwm_env.training.losses.fine_objective import FineObjective
from longdwm_env.training.losses.objective import NoiseChoices
from longdwm_env.training.losses.self_rollout import Rollout
from longdwm_env.types import Camera, ImageSize, Intrinsics

WEATHERS = ("Clear", "Foggy", "Rainy")

NO_DROPS = OpenChoices(
    warp_drop_ratio=0.0, text_drop_ratio=0.0, layout_drop_ratio=0.0, last_frame_drop_ratio=0.0, history_noise_max=0.0
)


class PaintedRoad:
    """Clips of a car that drives over a plane painted with stripes; the source of ``ClipSource`` tests.

    Those of the numbers in ``mapped`` come with a map, ``street``.
    """

    def __init__(
        self,
        clips: int = 4,
        frames: int = 145,
        image_size: ImageSize = (32, 48),
        with_poses: bool = True,
        bad: tuple[int, ...] = (),
        mapped: tuple[int, ...] = (),
    ) -> None:
        self.name = "painted road"
        self.clips, self.frames, self.image_size, self.with_poses, self.bad = clips, frames, image_size, with_poses, bad
        self.mapped = mapped

    def description(self) -> dict[str, Any]:
        return {"source": self.name, "frames": self.frames, "image_size": list(self.image_size)}

    def __len__(self) -> int:
        return self.clips

    def clip(self, index: int) -> Clip:
        if index in self.bad:
            raise BadClip(f"clip {index} is damaged on purpose")
        rng = np.random.default_rng(index)
        speed, turn = rng.uniform(3, 12), rng.uniform(-0.08, 0.08)
        times = np.arange(self.frames) * FRAME_S
        headings = turn * times
        steps = speed * FRAME_S * np.stack([np.cos(headings), np.sin(headings)], axis=1)
        places = np.concatenate([np.zeros((1, 2)), np.cumsum(steps[:-1], axis=0)])
        poses = np.column_stack([places, headings])
        camera = assumed_camera(self.image_size)
        weather = index % len(WEATHERS)
        images = np.stack([paint(pose, camera, weather) for pose in poses])
        prompt = f"Weather: {WEATHERS[weather]}.\nTime: Daytime.\nRoad environment: Plain.\nCritical objects: None."
        labels = {
            "speed_mps": np.full(self.frames, speed, np.float32),
            "yaw_rate_radps": np.full(self.frames, turn, np.float32),
        }
        layout = street(index) if index in self.mapped else None
        return Clip(f"painted:{index}", images, camera, poses if self.with_poses else None, prompt, labels, layout)


def street(index: int) -> RoadLayout:
    """A road of 30 m with a line, in the frame of a clip's poses: soon left behind."""
    asphalt = [[[x, 4], [x + 6, 4], [x + 6, -2 - index], [x, -2 - index]] for x in range(-6, 24, 6)]
    line = [[-6, 1.2], [24, 1.2], [24, 0.9], [-6, 0.9]]
    return RoadLayout(np.array([*asphalt, line], float), np.array([*[ROAD] * len(asphalt), LINE], np.uint8))


def paint(pose: np.ndarray, camera: Camera, weather: int) -> np.ndarray:
    """What a camera sees of a striped plane under an empty sky, (H, W, 3) uint8."""
    intrinsics: Intrinsics = camera.intrinsics
    rows, columns = np.mgrid[0 : intrinsics.height_px, 0 : intrinsics.width_px]
    down = (rows - intrinsics.cy_px) / intrinsics.fy_px
    right = (columns - intrinsics.cx_px) / intrinsics.fx_px
    depth = camera.mounting.translation_m[2] / np.maximum(down, 1e-3)
    forward, left = depth + camera.mounting.translation_m[0], -right * depth
    x = pose[0] + np.cos(pose[2]) * forward - np.sin(pose[2]) * left
    y = pose[1] + np.sin(pose[2]) * forward + np.cos(pose[2]) * left
    stripes = 0.5 + 0.25 * np.sin(x / 3) + 0.25 * np.sign(np.sin(y))
    ground = np.stack([stripes * 200, stripes * 180, 80 + 0 * x], axis=-1)
    sky = np.array([[180, 200, 250], [190, 190, 190], [120, 130, 150]][weather])
    return np.where((down > 0.02)[..., None], ground, sky).astype(np.uint8)


__all__ = ["PaintedRoad", "paint", "street"]


def driver_at(clip: Clip, frame: int, text: Tensor) -> Present:
    """Who has driven a clip up to a frame, at least a second from its start, and remembers two keyframes."""
    step, baseline = FRAMES_PER_INTERVAL, SweepSettings().baseline_frames
    earlier = relative_to(clip.poses[frame - baseline][None], clip.poses[frame])[0]
    history, before = clip.images[[frame - step, frame]], (clip.images[frame - baseline], earlier)
    return Present(history, clip.camera, text, seed=0, counter=0, before=before)


def shaken(pipeline: LongDWMPipeline) -> LongDWMPipeline:
    """A pipeline whose models are no longer what they begin as, so that everything they are told makes a difference."""
    generator = torch.Generator().manual_seed(0)
    for parameter in (*pipeline.coarse.parameters(), *pipeline.fine.parameters()):
        parameter.data += 0.03 * torch.randn(parameter.shape, generator=generator)
    return pipeline


def fine_objective(
    pipeline: LongDWMPipeline,
    use_warp: bool = True,
    own_keyframes: tuple[Denoiser, Rollout] | None = None,
    **choices: float,
) -> FineObjective:
    """The objective of a pipeline's Fine model, without drops but those asked for."""
    return FineObjective(
        pipeline.fine,
        pipeline.scheduler,
        torch.zeros(5, 16),
        replace(NO_DROPS, **choices),
        NoiseChoices(),
        0,
        last_is_exact=True,
        use_warp=use_warp,
        own_keyframes=own_keyframes,
    )
