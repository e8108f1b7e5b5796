"""Other road users on their way from a source to the Coarse model's views, in which they are moved."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.boxes import image_boxes, seen_boxes
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.pose import relative_to
from longdwm_env.models.conditioning.denoiser_inputs import coarse_conditioning
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.presets import build, debug
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.data.clip import Clip
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.latents import LatentChoices
from longdwm_env.training.data.footage import record_footage
from longdwm_env.training.data.samplers import CoarseSampler
from longdwm_env.training.data.simulator_footage import SimulatorClips
from longdwm_env.training.data.windows import Window
from longdwm_env.training.losses.coarse_objective import CoarseObjective
from longdwm_env.training.losses.objective import NoiseChoices
from longdwm_env.training.losses.self_rollout import Rollout, roll_history
from longdwm_env.types import ActorTracks

from .scenery import PaintedRoad, driver_at

FRAMES = 49
CAMERA = assumed_camera((96, 144))
ORIGIN = np.zeros((1, 3))


def ahead(distances_m: np.ndarray, aside_m: float = 0.0) -> ActorTracks:
    """One car of 4.5 m ahead of another that stands at the origin, (T,) metres away to its middle."""
    poses = np.column_stack([distances_m, np.full(len(distances_m), aside_m), np.zeros(len(distances_m))])
    sizes = np.array([[4.5, 1.8, 1.5]])
    return ActorTracks(poses[:, None], sizes, np.zeros((len(distances_m), 1)), ("a",))


class Leader(PaintedRoad):
    """The first clip follows a car at 15 m; of the second none was marked."""

    def clip(self, index: int) -> Clip:
        clip = super().clip(index)
        if index:
            return clip
        heading = clip.poses[:, 2]
        poses = clip.poses + 15 * np.column_stack([np.cos(heading), np.sin(heading), np.zeros(len(heading))])
        marked = ActorTracks(poses[:, None], np.array([[4.5, 1.8, 1.5]]), np.zeros((len(poses), 1)), ("leader",))
        return replace(clip, actors=marked)


@pytest.fixture(scope="module")
def pipeline():
    return build(debug())


@pytest.fixture(scope="module")
def store(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("latents")
    return encode_latents(
        Leader(clips=2, frames=FRAMES), folder, pipeline, LatentChoices(keyframe_phases=2, vehicles_unknown_ratio=0)
    )


def test_a_box_is_seen_where_the_camera_projects_it():
    actors = ahead(np.array([20.0]))
    left, top, right, bottom, depth = image_boxes(actors.poses[0], actors.sizes_m, ORIGIN[0], CAMERA)[0]
    lens, eye = CAMERA.intrinsics, CAMERA.mounting.translation_m
    assert depth == pytest.approx(20 - 2.25 - eye[0])
    assert right - left == pytest.approx(1.8 * lens.fx_px / depth)
    assert bottom - lens.cy_px == pytest.approx(eye[2] * lens.fy_px / depth)
    assert top < bottom
    turned = image_boxes(actors.poses[0], actors.sizes_m, np.array([0.0, 0.0, 0.1]), CAMERA)[0]
    assert turned[0] > left, "who turns left sees it farther to the right"


def test_footage_keeps_looks_and_scenery(tmp_path):
    source = SimulatorClips(1, (48, 72), frames=25, first_seed=5)
    kept, made = record_footage(source, tmp_path).clip(0), source.clip(0)
    assert kept.actors.looks.keys() == {"classes", "colours", "lights"}
    for name, values in made.actors.looks.items():
        assert np.array_equal(kept.actors.looks[name], values)
    assert len(made.scenery.kinds) > 100
    for name, values in made.scenery.arrays.items():
        assert kept.scenery.arrays[name].dtype == values.dtype
        assert np.array_equal(kept.scenery.arrays[name], values)


def test_footage_that_was_recorded_before_looks_and_scenery_is_read(tmp_path):
    footage = record_footage(Leader(clips=2, frames=13), tmp_path)
    for entry in footage.entries:
        entry.facts.pop("looks", None)
        assert "scenery" not in entry.facts
    clip = footage.clip(0)
    assert clip.scenery is None
    assert not clip.actors.looks


def test_a_clip_refuses_road_users_of_another_length():
    clip = Leader(clips=1, frames=13).clip(0)
    with pytest.raises(InvalidConfig, match="boxes at each of 13 frames"):
        replace(clip, actors=ahead(np.ones(12)))
    with pytest.raises(InvalidConfig, match="need poses"):
        replace(clip, poses=None)


def test_each_keyframe_knows_the_boxes_that_its_views_were_made_with(pipeline, store):
    clip = Leader(clips=2, frames=FRAMES).clip(0)
    window = Window(2, 1)
    batch = CoarseSampler(store, [window], seed=0).at([(0, 1, 1), (1, 1, 1)], window, [0, 1])
    wanted = seen_boxes(clip.actors, [18, 30, 42], clip.poses[[18, 30, 42]], clip.camera)
    np.testing.assert_allclose(batch.boxes[0], wanted, rtol=1e-5)
    assert np.isfinite(wanted).all()
    assert batch.boxes[1] is None, "of the second clip none was marked"
    present = replace(driver_at(clip, 30, batch.text[0]), boxes=batch.boxes[0][1:])
    given = [present], [relative_to(clip.poses[42:43], clip.poses[30])]
    inputs = pipeline.generation().coarse_inputs(*given)
    history = batch.clean[:, : batch.history]
    trained = coarse_conditioning(history, batch.clean.shape[1], batch.text, **batch.views(with_layout=False))
    made = slice(inputs.known, None), slice(trained.warp.shape[2])
    torch.testing.assert_close(inputs.given.warp[:, *made], trained.warp[:1, *made], atol=0.02, rtol=2e-3)
    unmoved = pipeline.generation().coarse_inputs([replace(present, boxes=None)], given[1])
    assert not torch.allclose(unmoved.given.warp, inputs.given.warp, atol=0.02), "a moved car changes the view"


def test_of_a_share_of_clips_nobody_is_known(pipeline, tmp_path):
    choices = LatentChoices(keyframe_phases=2, vehicles_unknown_ratio=1.0)
    store = encode_latents(Leader(clips=1, frames=25), tmp_path, pipeline, choices)
    assert store.rows(0, "keyframe_boxes.0", slice(0, 3)).isnan().all()
    with pytest.raises(InvalidConfig, match="vehicles_unknown_ratio lies in"):
        LatentChoices(vehicles_unknown_ratio=1.5)


def test_a_drive_of_its_own_moves_whom_it_knew_at_the_start(pipeline, store):
    window = Window(2, 3, self_rollout=True)
    batch = CoarseSampler(store, [window], seed=0).at([(0, 0, 0)], window, [0])
    loss, rollout = objective(pipeline), Rollout(pipeline.codec, pipeline.settings)
    moved = roll_history(loss.model, batch, rollout, 0)
    unmoved = roll_history(loss.model, replace(batch, boxes=(None,)), rollout, 0)
    assert not torch.equal(moved.warp, unmoved.warp)
    late = batch.boxes[0].copy()
    late[:2] = np.nan
    came = roll_history(loss.model, replace(batch, boxes=(late,)), rollout, 0)
    assert torch.equal(came.warp, unmoved.warp), "who comes into view later is in none of the model's own pictures"


def objective(pipeline: LongDWMPipeline, rollout: Rollout | None = None, **choices: float) -> CoarseObjective:
    return CoarseObjective(
        pipeline.coarse,
        pipeline.scheduler,
        torch.zeros(5, 16),
        OpenChoices(**choices),
        NoiseChoices(),
        0,
        rollout=rollout,
    )
