from contextlib import contextmanager
from dataclasses import dataclass, replace

import cv2
import jaxtyping
import numpy as np
import pytest
import torch

# Checks the shapes that these modules declare; the hook comes before their first import.
NETWORK = ("sampler", "denoiser", "coarse", "fine")
CHECKED = [
    *(f"longdwm_env.models.network.{name}" for name in NETWORK),
    "longdwm_env.models.conditioning.denoiser_inputs",
    "longdwm_env.models.conditioning.warped_pictures",
]
jaxtyping.install_import_hook(CHECKED, "beartype.beartype")

from longdwm_env.geometry.camera import assumed_camera  # noqa: E402
from longdwm_env.geometry.spline import plan_trajectory  # noqa: E402
from longdwm_env.models import presets  # noqa: E402
from longdwm_env.models.pipeline import LongDWMPipeline  # noqa: E402
from longdwm_env.types import ActorTracks, Camera, EgoState, Images, ImageSize, Scene, Trajectory  # noqa: E402


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def nothing_drawn():
    """A context in which nothing is drawn from PyTorch's own random numbers."""

    @contextmanager
    def nothing_drawn():
        before = torch.random.get_rng_state()
        yield
        assert torch.equal(torch.random.get_rng_state(), before)

    return nothing_drawn


def make_picture(size: ImageSize, seed: int = 0) -> Images:
    """A smooth colourful picture, (H, W, 3) uint8."""
    small = np.random.default_rng(seed).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    return cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)


def make_shaken(pipeline: LongDWMPipeline, seed: int = 1, scale: float = 0.05) -> LongDWMPipeline:
    """Random numbers in every weight that starts at zero, as after some training."""
    generator = torch.Generator().manual_seed(seed)
    for part in (pipeline.coarse, pipeline.fine, pipeline.vae):
        for weight in part.parameters():
            if not weight.detach().any():
                weight.data.copy_(scale * torch.randn(weight.shape, generator=generator))
    return pipeline


def make_built(name: str) -> LongDWMPipeline:
    pipeline = make_shaken(presets.build(presets.PRESETS[name]()))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="session")
def pipeline() -> LongDWMPipeline:
    """Mini's classes, tiny, with weights as after some training. Tests must not change it."""
    return make_built("debug")


@pytest.fixture(scope="session")
def cogvideox_pipeline() -> LongDWMPipeline:
    """The full size's classes, tiny. Tests must not change it."""
    return make_built("debug-cogvideox")


@pytest.fixture(scope="session")
def image(pipeline) -> Images:
    return make_picture(pipeline.settings.image_size)


@dataclass
class Log:
    """A recorded clip whose frames tell which they are."""

    num_past: int
    num_future: int = 0
    ego_poses: None = None
    seed: int = 0

    def images(self, first: int, count: int, camera: Camera) -> Images:
        size = camera.intrinsics.image_size
        return np.stack([make_picture(size, self.seed + 100 + max(first + i, -self.num_past)) for i in range(count)])


def make_scene_with(size: ImageSize, num_past: int = 0, prompt: str = "Weather: sunny", seed: int = 0) -> Scene:
    return Scene(f"clip-{seed}", Log(num_past, seed=seed), assumed_camera(size), prompt=prompt)


def make_drive_at(speed_mps: float, lateral_m: float = 0.0) -> Trajectory:
    waypoints = np.array([[speed_mps * t, lateral_m * (t / 2) ** 2] for t in (0.5, 1.0, 1.5, 2.0)])
    return plan_trajectory(waypoints, EgoState(speed_mps=speed_mps))


@pytest.fixture(scope="session")
def picture():
    """A function (size, seed) -> picture."""
    return make_picture


@pytest.fixture(scope="session")
def built():
    """A function (preset's name) -> pipeline with weights as after some training."""
    return make_built


def make_marked(scene, *poses, speed_mps=8.0):
    """A scene with marked road users of a car's size, recorded for a while."""
    count = len(poses)
    tracks = np.repeat(np.array(poses, float).reshape(1, count, 3), 3, axis=0)
    names = tuple(f"car-{number}" for number in range(count))
    sizes = np.tile([4.5, 1.8, 1.5], (count, 1))
    return replace(scene, actors=ActorTracks(tracks, sizes, np.full((3, count), speed_mps), names))


@pytest.fixture(scope="session")
def marked():
    """A function (scene, *poses, speed_mps) -> scene with other road users."""
    return make_marked


@pytest.fixture(scope="session")
def scene_with():
    """A function (size, num_past, prompt, seed) -> scene."""
    return make_scene_with


@pytest.fixture(scope="session")
def drive_at():
    """A function (speed_mps, lateral_m) -> trajectory."""
    return make_drive_at


@pytest.fixture(scope="session")
def saved(pipeline, tmp_path_factory):
    """Where that pipeline is saved. Tests must not change it."""
    path = tmp_path_factory.mktemp("world") / "tiny"
    pipeline.save_pretrained(path)
    return str(path)
