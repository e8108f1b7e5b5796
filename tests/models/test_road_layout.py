"""Driving with a map: what a world remembers of the road, and what its models make of it."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.layout import REACH_M, ROAD, RoadLayout, draw_layout
from longdwm_env.geometry.pose import compose, relative_to
from longdwm_env.models import presets
from longdwm_env.models.closed_loop.samples import Gap, Sampling
from longdwm_env.models.codec.video_codec import images_from_uint8
from longdwm_env.models.world import DiffusionWorld
from longdwm_env.state import EnvState
from longdwm_env.types import EgoState, WorldState

SIZE = (32, 48)
ACTION = np.array([[3, 0], [6, 0], [9, 0], [12, 0]], np.float32)

pytestmark = pytest.mark.filterwarnings("ignore:the camera of scene")


class StreetMap:
    """A road map of which only the layout is asked for."""

    def __init__(self, turned=0.0, shifted_m=(0.0, 0.0)):
        quads = [[[x, 4], [x + 12, 4], [x + 12, -2], [x, -2]] for x in range(-60, 300, 12)]
        self.whole = RoadLayout(np.array(quads, float), np.full(len(quads), ROAD, np.uint8))
        self.whole = self.whole.seen_from(relative_to(np.zeros((1, 3)), np.array([*shifted_m, turned]))[0])

    def layout(self, centre_m, reach_m):
        return self.whole.near(centre_m, reach_m)

    def drivable(self, points_m):
        raise AssertionError("a model is told no more than the layout")

    def fit_lanes(self, poses):
        raise AssertionError("a model is told no more than the layout")


@pytest.fixture(scope="module")
def world(pipeline):
    assert pipeline.settings.road_layout
    return DiffusionWorld(pipeline, "tiny")


@pytest.fixture(scope="module")
def blind():
    """Models that know no layout."""
    config = presets.debug()
    coarse, fine = (
        replace(model, layout_view=False, warp_views=model.warp_views - 1) for model in (config.coarse, config.fine)
    )
    return presets.build(
        replace(config, coarse=coarse, fine=fine, settings=replace(config.settings, road_layout=False))
    )


@pytest.fixture
def mapped(scene_with):
    return replace(scene_with(SIZE), road_map=StreetMap())


def with_layout(state, layout):
    told = {"layout_corners": np.array(layout.corners_m), "layout_kinds": np.array(layout.kinds)}
    return WorldState({**state.arrays, **told}, state.values)


def without_layout(state):
    kept = {name: array for name, array in state.arrays.items() if not name.startswith("layout")}
    return WorldState(kept, state.values)


def coarse_inputs(world, state, trajectory):
    return world._generation.coarse_inputs([world._present(state)], [trajectory.poses[11:12]])


def layout_in(inputs):
    """What the Coarse model is told of the layout at new keyframes, and the mask: it is the last of their views."""
    return inputs.given.warp[:, inputs.known :, -1], inputs.given.warp_mask[:, inputs.known :, -1]


def test_a_model_that_knows_no_layout_remembers_and_sees_none(blind, mapped, drive_at):
    world = DiffusionWorld(blind)
    state = world.begin(mapped, 3)
    assert set(state.arrays) == {"frames", "track"}
    views = coarse_inputs(world, state, drive_at(8.0)).given.warp
    assert views.shape[2] == blind.coarse.config.warp_views == presets.debug().coarse.warp_views - 1
    _, frames = world.advance([state], [drive_at(8.0)], 12)
    told = with_layout(state, mapped.road_map.whole)
    assert np.array_equal(world.advance([told], [drive_at(8.0)], 12)[1], frames)


def test_the_coarse_model_is_shown_the_road_where_the_new_keyframe_will_be(world, pipeline, mapped, drive_at):
    """However far and however long it has been driven: always the map, seen from the world pose at that moment."""
    state, trajectory = world.begin(mapped, 3), drive_at(8.0, 1.5)
    pose = np.zeros(3)
    for num_frames in (12, 5):
        layout, mask = layout_in(coarse_inputs(world, state, trajectory))
        ahead = compose(pose, trajectory.poses[11:12])[0]
        picture = draw_layout(mapped.road_map.whole, world._present(state).camera, ahead)
        wanted = pipeline.codec.encode_keyframes(images_from_uint8(picture[None, None]))
        assert mask.tolist() == [[1.0]]
        assert (layout - wanted).abs().mean() < 0.02
        (state,), _ = world.advance([state], [trajectory], num_frames)
        pose = compose(pose, trajectory.poses[num_frames - 1 : num_frames])[0]
        np.testing.assert_allclose(state.arrays["track"][-1], pose, atol=1e-9)


def test_where_the_world_lies_changes_nothing(world, scene_with, drive_at):
    """The same drive on the same road, elsewhere in the world frame: up to what rounding moves in a picture."""
    here = replace(scene_with(SIZE, num_past=24), start=EgoState(speed_mps=8.0), road_map=StreetMap())
    start = EgoState(x_m=250.0, y_m=-90.0, heading_rad=2.2, speed_mps=8.0)
    there = replace(here, start=start, road_map=StreetMap(2.2, (250.0, -90.0)))
    states = [world.begin(scene, 3) for scene in (here, there)]
    np.testing.assert_allclose(states[1].arrays["track"], compose(start.pose, states[0].arrays["track"]), atol=1e-9)
    for _ in range(2):
        states, frames = world.advance(states, [drive_at(8.0, 1.0)] * 2, 12)
        assert np.abs(frames[0].astype(int) - frames[1]).max() <= 3


def test_without_a_map_and_beyond_its_end_the_layout_is_masked(world, mapped, scene_with, drive_at):
    trajectory = drive_at(8.0)
    for state in (
        world.begin(scene_with(SIZE), 3),
        with_layout(world.begin(mapped, 3), mapped.road_map.whole.seen_from(np.array([0.0, REACH_M, 0.0]))),
    ):
        _, mask = layout_in(coarse_inputs(world, state, trajectory))
        assert mask.tolist() == [[0.0]]
    # Then it makes no difference what the map says far away.
    frames = world.advance([state], [trajectory], 12)[1]
    assert np.array_equal(frames, world.advance([without_layout(state)], [trajectory], 12)[1])


def test_built_in_scenes_are_driven_with_their_map_and_saved_with_it(world, tmp_path):
    env = gym.make("LongDWM-v0", world=world, max_episode_s=10.0)
    env.reset(seed=7)
    env.step(ACTION)
    state = env.unwrapped.get_state()
    scene = env.unwrapped.scene
    whole = scene.road_map.layout(scene.start.pose[:2], 1e9)
    kept = RoadLayout(state.world_state.arrays["layout_corners"], state.world_state.arrays["layout_kinds"])
    camera = state.camera
    assert np.array_equal(draw_layout(kept, camera, state.ego.pose), draw_layout(whole, camera, state.ego.pose))
    np.testing.assert_allclose(state.world_state.arrays["track"][-1], state.ego.pose, atol=1e-6)
    state.save(tmp_path / "state.safetensors")
    observation, *_ = env.step(ACTION)
    loaded = EnvState.load(tmp_path / "state.safetensors")
    for name in ("layout_corners", "layout_kinds"):
        found, wanted = loaded.world_state.arrays[name], state.world_state.arrays[name]
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)
    env.unwrapped.set_state(loaded)
    assert np.array_equal(env.step(ACTION)[0]["frames"], observation["frames"])
    futures = env.unwrapped.imagine(np.stack([ACTION[None], 0.5 * ACTION[None]]))
    assert futures.frames.shape[:2] == (2, 1)
    env.close()


def test_the_fine_model_sees_the_road_pass_by(pipeline, picture, drive_at):
    """Of each frame between two keyframes; without a map it is told that there is none."""
    generation, poses = pipeline.generation(), drive_at(8.0, 1.0).poses[:12]
    first, last = picture(SIZE), picture(SIZE, 1)
    latent = pipeline.codec.encode_keyframes(images_from_uint8(last[None, None]))[0, 0]
    camera = assumed_camera(SIZE)
    gap = Gap(first, last, latent, camera, poses, torch.zeros(5, 16), 0, 0, StreetMap().whole)
    views, without = generation.views.between([gap, replace(gap, layout=None)])(), generation.views.between([gap])()
    every = np.concatenate([np.zeros((1, 3)), poses])
    drawn = np.stack([draw_layout(gap.layout, camera, pose) for pose in every])
    wanted = pipeline.codec.encode_clip(images_from_uint8(drawn[None]))[0]
    # Convolutions of other batch sizes differ in their last bits.
    assert torch.allclose(views["layout"][0], wanted, atol=3e-3)
    assert views["layout_mask"].tolist() == [[1.0] * len(wanted), [0.0] * len(wanted)]
    assert torch.allclose(without["layout"][0], wanted, atol=3e-3)
    sampling = Sampling(1, 1)
    bent = gap.layout.seen_from(np.array([0.0, 2.0, 0.2]))
    clips = [generation.fill([replace(gap, layout=one)], sampling)[0] for one in (gap.layout, bent, None)]
    assert not np.array_equal(clips[0], clips[1])
    assert not np.array_equal(clips[0], clips[2])
    far = gap.layout.seen_from(np.array([0.0, 900.0, 0.0]))
    assert np.array_equal(generation.fill([replace(gap, layout=far)], sampling)[0], clips[2])


def test_views_of_known_keyframes_are_not_encoded_where_nobody_looks_at_them(pipeline, picture, drive_at, monkeypatch):
    """The Fine model's frames are those that it makes with all views."""
    generation, poses = pipeline.generation(), drive_at(8.0, 1.0).poses[:12]
    first, last, camera = picture(SIZE), picture(SIZE, 1), assumed_camera(SIZE)
    latent = pipeline.codec.encode_keyframes(images_from_uint8(last[None, None]))[0, 0]
    gap = Gap(first, last, latent, camera, poses, torch.zeros(5, 16), 0, 0, StreetMap().whole)
    assert pipeline.fine.config.keep_known
    whole, inner = (generation.views.between([gap], ends)() for ends in (True, False))
    for name in ("warp_first", "warp_last", "between", "layout", "layout_mask"):
        theirs, ours = whole[name], inner[name]
        assert ours.shape == theirs.shape
        assert not ours[:, [0, -1]].any()
        assert torch.allclose(ours[:, 1:-1], theirs[:, 1:-1], atol=3e-3)
    between, sampling = generation.views.between, Sampling(1, 1)
    made = [generation.fill([gap], sampling)[0].astype(int)]
    monkeypatch.setattr(generation.views, "between", lambda gaps, ends: between(gaps, not ends))
    made.append(generation.fill([gap], sampling)[0].astype(int))
    # Convolutions of other batch sizes differ in their last bits.
    assert np.abs(made[0] - made[1]).max() <= 1


# The pipeline on its own


def run(pipeline, image, **changes):
    return pipeline(image, **{"seconds": 2.0, "generator": 3, "output_type": "np", **changes}).frames


def test_a_pipeline_is_told_the_layout_of_its_picture(pipeline, blind, image):
    street = StreetMap().whole
    plain, told = run(pipeline, image), run(pipeline, image, layout=street)
    assert not np.array_equal(plain, told)
    parts = list(pipeline.stream(image, seconds=2.0, generator=3, layout=street))
    assert np.array_equal(np.concatenate(parts), (told[0] * 255).round().astype(np.uint8))
    beside = street.seen_from(np.array([0.0, 5000.0, 0.0]))
    assert np.array_equal(run(pipeline, image, layout=beside), plain)
    blind.set_progress_bar_config(disable=True)
    assert np.array_equal(run(blind, image), run(blind, image, layout=street))


def test_a_later_rollout_sees_the_road_from_where_it_starts(pipeline, image, monkeypatch):
    """Second by second and in one rollout, each keyframe is told the road as it is there."""
    trajectory = np.array([[0.6 * t, 0.02 * t, 0.01 * t] for t in range(1, 37)])
    street, seen = StreetMap().whole, []
    generation = type(pipeline.generation())
    sampled = generation.sampled_keyframes
    monkeypatch.setattr(
        generation, "sampled_keyframes", lambda self, inputs, *rest: seen.append(inputs) or sampled(self, inputs, *rest)
    )
    for at_once in (1, 3):
        run(pipeline, image, seconds=3.0, trajectory=trajectory, layout=street, keyframes_per_rollout=at_once)
    *alone, together = (layout_in(inputs)[0][0] for inputs in seen)
    for index, layout in enumerate(alone):
        assert (layout[0] - together[index]).abs().mean() < 0.02
        assert (together[index] - together[index - 1]).abs().mean() > 0.05
