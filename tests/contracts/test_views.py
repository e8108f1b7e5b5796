"""Every view that a model is shown keeps what a view promises; and each broken promise is found."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from longdwm_env.contracts import BrokenPromise, check_view
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.sweep import SweepSettings
from longdwm_env.models.codec.video_codec import images_from_uint8
from longdwm_env.models.conditioning.denoiser_inputs import coarse_conditioning
from longdwm_env.models.conditioning.warped_pictures import (
    backward_clip_warps,
    clip_warps,
    keyframe_views,
    layout_pictures,
)
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.samplers import CoarseSampler
from longdwm_env.training.data.windows import Window

from ..models.conftest import make_built, make_picture
from ..training.scenery import PaintedRoad, driver_at, street

SIZE = (32, 48)
CAMERA = assumed_camera(SIZE)
SETTINGS = LongDWMSettings(
    image_size=SIZE,
    coarse_warp_horizon_s=3.0,
    coarse_sweep=((10, 3.0), (1000.0, 1.02)),
    backward_warp=True,
    matched_sweep=SweepSettings(),
)
EARLIER = (make_picture(SIZE, 7), np.array([-4.0, 0.0, 0.0]))
LAST = np.array([12.0, 0.5, 0.02])


class Keyframes:
    """One of the views of new keyframes: the matched sweep, the warp, and planes."""

    shows_image = True

    def __init__(self, name, number):
        self.name, self.number = name, number

    def pictures(self, image, camera, poses):
        earlier = None if self.number else EARLIER
        shown, mask = keyframe_views(image, camera, poses, earlier, SETTINGS)
        return shown[:, self.number], mask


class Forward:
    name, shows_image = "the first frame warped on", True

    def pictures(self, image, camera, poses):
        return clip_warps(image, camera, poses, SETTINGS)[1:], np.ones(len(poses), np.float32)


class Backward:
    name, shows_image = "the last frame warped back", False

    def pictures(self, image, camera, poses):
        way = np.concatenate([poses, LAST[None]])
        forward = clip_warps(image, camera, way, SETTINGS)
        shown = backward_clip_warps(make_picture(SIZE, 5), camera, way, SETTINGS, forward)
        return shown[1:-1], np.ones(len(poses), np.float32)


class Layout:
    name, shows_image = "the road's layout", False

    def __init__(self, layout=None):
        self.layout = layout

    def pictures(self, image, camera, poses):
        return layout_pictures(self.layout, camera, poses)


@pytest.mark.parametrize(
    "view",
    [
        *(Keyframes(name, number) for number, name in enumerate(("sweep", "warp", "near plane", "far plane"))),
        Forward(),
        Backward(),
        Layout(street(0)),
        Layout(),
    ],
    ids=lambda view: view.name,
)
def test_pictures_keep_their_promises(view):
    check_view(view, CAMERA)


@pytest.fixture(scope="module")
def pipeline():
    return make_built("debug")


@pytest.fixture(scope="module")
def store(pipeline, tmp_path_factory):
    return encode_latents(PaintedRoad(clips=1, frames=37, mapped=(0,)), tmp_path_factory.mktemp("latents"), pipeline)


class Warps:
    """The warps of a new keyframe, as the Coarse model is shown them in training and in driving."""

    name, shows_image = "warps", True

    def __init__(self, pipeline, store):
        self.pipeline, self.store = pipeline, store

    def pictures(self, image, camera, poses):
        return keyframe_views(image, camera, poses, None, SETTINGS)[0][:, 1], np.ones(len(poses), np.float32)

    def seen(self, pictures, mask):
        latents = self.encoded(pictures)
        further = self.pipeline.coarse.config.warp_views - 2
        told = (
            {}
            if latents is None
            else {"warp": latents, "further": latents[:, :, None].expand(-1, -1, further, -1, -1, -1)}
        )
        return self.made(told, keep=mask.any())

    def encoded(self, pictures):
        return self.pipeline.codec.encode_keyframes(images_from_uint8(pictures[None])) if len(pictures) else None

    def made(self, told, keep=True):
        noise = torch.randn(1, 4, 16, 4, 6, generator=torch.Generator().manual_seed(0))
        conditioning = coarse_conditioning(noise[:, :1], 4, torch.zeros(1, 5, 16), **told)
        with torch.no_grad():
            conditioning = conditioning.without_warp(torch.tensor([keep]))
            return self.pipeline.coarse_model.output(noise, torch.tensor([500]), conditioning).numpy()

    def in_training(self):
        window = Window(2, 1)
        batch = CoarseSampler(self.store, [window], seed=0).at([(0, 0, 0)], window, [0])
        history, frames = batch.clean[:, : batch.history], batch.clean.shape[1]
        return self.of(coarse_conditioning(history, frames, batch.text, **batch.views(with_layout=True)), batch.history)

    def in_driving(self):
        clip = PaintedRoad(clips=1, frames=37, mapped=(0,)).clip(0)
        origin = clip.poses[12]
        present = replace(driver_at(clip, 12, torch.zeros(5, 16)), layout=clip.layout.seen_from(origin))
        inputs = self.pipeline.generation().coarse_inputs([present], [relative_to(clip.poses[24:25], origin)])
        return self.of(inputs.given, inputs.known)

    # The layout is the last of the views.
    views = slice(-1)

    def of(self, given, known):
        shown = given.warp * given.warp_mask[..., None, None, None]
        return shown[:, known:, self.views].numpy()


class Roads(Warps):
    """The road's layout, shown as the warps are."""

    name, shows_image = "layout", False

    def pictures(self, image, camera, poses):
        return Layout(street(0)).pictures(image, camera, poses)

    def seen(self, pictures, mask):
        latents = self.encoded(pictures)
        told = {} if latents is None else {"layout": latents, "layout_mask": torch.from_numpy(mask)[None]}
        further = torch.zeros(1, 3, self.pipeline.coarse.config.warp_views - 2, 16, 4, 6)
        return self.made({"warp": torch.zeros(1, 3, 16, 4, 6), "further": further, **told})

    views = slice(-1, None)


@pytest.mark.parametrize("view", [Warps, Roads])
def test_models_see_what_is_there_alike_in_training_and_in_driving(pipeline, store, view):
    check_view(view(pipeline, store), CAMERA, tolerance=0.02)


class Good:
    """Keeps its promises: the picture itself."""

    name, shows_image = "the picture", True

    def pictures(self, image, camera, poses):
        return np.repeat(image[None], len(poses), axis=0), np.ones(len(poses), np.float32)

    def seen(self, pictures, mask):
        return np.zeros(3, np.float32) if not len(pictures) else (pictures * mask[:, None, None, None]).mean((0, 1, 2))

    def in_training(self):
        return np.arange(3.0)

    def in_driving(self):
        return np.arange(3.0)


GOOD = Good()


def shows(change):
    """A view whose pictures are changed."""

    def pictures(image, camera, poses):
        shown, mask = GOOD.pictures(image, camera, poses)
        return change(shown, len(poses)), mask

    return {"pictures": pictures}


def paints(image, camera, poses):
    shown = GOOD.pictures(image, camera, poses)
    image[:] = 0
    return shown


BROKEN = [
    (shows(lambda shown, count: np.concatenate([shown, shown[:1]])), "shows uint8"),
    ({"pictures": lambda *given: (GOOD.pictures(*given)[0], np.full(len(given[2]), 0.5, np.float32))}, "of 0 and 1"),
    ({"pictures": paints}, "leaves the picture"),
    (shows(lambda shown, count: shown ^ np.uint8(np.random.randint(256))), "is pure"),  # noqa: NPY002
    (shows(lambda shown, count: shown ^ np.uint8(count)), "that of each alone"),
    (shows(lambda shown, count: 255 - shown), "shows the picture itself"),
    ({"seen": lambda pictures, mask: GOOD.seen(pictures, np.ones_like(mask))}, "changes what is made"),
    ({"seen": lambda pictures, mask: GOOD.seen(pictures, mask) + len(mask)}, "what it makes without it"),
    ({"seen": lambda pictures, mask: np.zeros(3)}, "changes nothing"),
    ({"in_driving": lambda: np.arange(3.0) + 1}, "in training and in driving"),
]


@pytest.mark.parametrize(("methods", "told"), BROKEN, ids=[told for _, told in BROKEN])
def test_a_broken_promise_is_found(methods, told):
    check_view(GOOD, CAMERA)
    view = Good()
    vars(view).update(methods)
    with pytest.raises(BrokenPromise, match=told):
        check_view(view, CAMERA)
