"""Frames put together by the compositor, alone and in a world."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from longdwm_env.geometry.layout import ROAD, RoadLayout
from longdwm_env.models.closed_loop.composition import (
    BegunSeconds,
    FrameComposer,
    FrameParts,
    SecondParts,
    as_ingredients,
)
from longdwm_env.models.closed_loop.samples import Present
from longdwm_env.models.closed_loop.surroundings import Surroundings
from longdwm_env.models.codec.video_codec import uint8_from_images
from longdwm_env.models.compositor import FLAGS, PICTURES, SHARES, Compositor, _halved
from longdwm_env.models.network.sampler import counted_noise
from longdwm_env.models.world import DiffusionWorld

SIZE = (32, 48)


def make_compositor(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = Compositor(text_dim=80, widths=(8, 8, 8), depths=(1, 1, 1)).eval()
        for weight in made.parameters():
            if not weight.detach().any():
                weight.data.normal_(std=0.05)
    return made


@pytest.fixture(scope="module")
def composing(built):
    """A pipeline with a compositor whose weights are random."""
    pipeline = built("debug")
    pipeline.register_modules(compositor=make_compositor())
    return pipeline


@pytest.fixture(scope="module")
def world(composing):
    return DiffusionWorld(composing)


@pytest.fixture
def straight(drive_at):
    return drive_at(8.0)


def some_parts(keyframe=1.0, share=1.0, known=0.0):
    rng = np.random.default_rng(5)
    pictures = rng.integers(0, 256, (len(PICTURES), *SIZE, 3), dtype=np.uint8)
    masks = np.full((2, *SIZE), 255, np.uint8)
    shown = rng.integers(0, 256, (*SIZE, 4), dtype=np.uint8)
    return FrameParts(pictures, masks, shown, np.array([keyframe, share, known, known, 0.0], np.float32))


def composed(compositor, part, seed=0):
    noise = torch.randn(1, 1, *SIZE, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return compositor(as_ingredients([part], noise, torch.zeros(1, 5, 16)))


def test_untrained_it_takes_the_last_frame_along():
    part = some_parts()
    made = composed(Compositor(text_dim=80, widths=(8, 8, 8), depths=(1, 1, 1)), part)
    first = torch.from_numpy(part.pictures[PICTURES.index("first")]).movedim(-1, 0)[None] / 127.5 - 1
    assert (made - first).abs().mean() < 0.15


@pytest.mark.parametrize(("keyframe", "missing"), [(1.0, "last"), (0.0, "coarse")])
def test_a_picture_that_does_not_exist_has_no_influence(keyframe, missing):
    compositor, part = make_compositor(), some_parts(keyframe, 0.5)
    changed = part.pictures.copy()
    changed[PICTURES.index(missing)] = 7
    assert torch.equal(composed(compositor, part), composed(compositor, replace(part, pictures=changed)))


def test_lit_the_map_keeps_its_edges():
    """A compositor that takes everything from the map, at night: darker, as sharp for its contrast, and in place."""
    compositor = Compositor(text_dim=80, widths=(8, 8, 8), depths=(1, 1, 1)).eval()
    with torch.no_grad():
        compositor.head.bias.view(-1, 4)[SHARES.index("map")] = 60.0
        compositor.light.bias[:3] = -0.75
    part = some_parts(known=1.0)
    shown = torch.from_numpy(part.map_picture[..., :3]).movedim(-1, 0)[None] / 255
    assert torch.allclose((composed(compositor, part) + 1) / 2, shown / 4, atol=1e-3)


def test_a_map_that_is_not_there_has_no_influence():
    compositor, part = make_compositor(), some_parts(known=0.0)
    blank = replace(part, map_picture=np.zeros_like(part.map_picture))
    assert torch.equal(composed(compositor, part), composed(compositor, blank))
    known = some_parts(known=1.0)
    assert not torch.equal(
        composed(compositor, known), composed(compositor, replace(known, map_picture=blank.map_picture))
    )


def test_every_other_part_matters():
    compositor, part = make_compositor(), some_parts(known=1.0)
    made = composed(compositor, part)
    for index, name in enumerate(PICTURES):
        if name != "last":
            pictures = part.pictures.copy()
            pictures[index] = 255 - pictures[index]
            assert not torch.equal(made, composed(compositor, replace(part, pictures=pictures))), name
    assert not torch.equal(made, composed(compositor, replace(part, masks=part.masks // 2)))
    assert not torch.equal(made, composed(compositor, part, seed=1))
    for index, name in enumerate(FLAGS):
        flags = part.flags.copy()
        flags[index] += 0.5
        assert not torch.equal(made, composed(compositor, replace(part, flags=flags))), name


def test_parts_of_a_second_have_what_each_frame_needs(picture, scene_with):
    camera = scene_with(SIZE).camera
    poses = np.column_stack([np.arange(13) * 0.8, np.zeros(13), np.zeros(13)])
    first, last = picture(SIZE, 1), picture(SIZE, 2)
    second = SecondParts(first, Surroundings(poses), camera)
    keyframe = second.keyframe(first, last)
    assert keyframe.flags.tolist()[:4] == [1, 1, 0, 0]
    assert (keyframe.pictures[PICTURES.index("coarse")] == last).all()
    both = second.between(last, [3, 9])
    assert [part.flags[1] for part in both] == [0.25, 0.75]
    alone = second.between(last, [9])[0]
    assert all((a == b).all() for a, b in zip(vars(both[1]).values(), vars(alone).values(), strict=True))
    early, late = (second.between(last, [frame])[0].pictures.astype(int) for frame in (1, 11))
    assert np.abs(early[0] - first).mean() < np.abs(late[0] - first).mean()
    assert np.abs(late[1] - last).mean() < np.abs(early[1] - last).mean()


def several_at_once(compositor, picture, scene_with, count=5):
    """Frames composed together, and each alone; and which batches the network was given."""
    sizes = []
    compositor.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0].flags)))
    camera = scene_with(SIZE).camera
    present = Present(picture(SIZE, 1)[None], camera, torch.zeros(5, 16), 3, 24)
    parts = [some_parts(0.0, share) for share in np.linspace(0.1, 0.9, count)]
    composer = FrameComposer(compositor, torch.device("cpu"))
    numbers = list(range(1, count + 1))
    alone = [composer.composed([part], present, [number])[0] for part, number in zip(parts, numbers, strict=True)]
    sizes.clear()
    made = [composer.composed(parts, present, numbers) for _ in range(2)]
    assert len({frame.tobytes() for frame in alone}) == count
    for together in made:
        assert all((a == b).all() for a, b in zip(together, alone, strict=True))
    return sizes


def test_frames_are_composed_together_to_the_bit_as_alone(picture, scene_with):
    assert several_at_once(make_compositor(), picture, scene_with) in ([5, 1, 1, 1, 1, 1, 5], [5] + 10 * [1])


def test_frames_that_differ_in_a_batch_are_composed_one_by_one(picture, scene_with):
    class Careless(Compositor):
        def forward(self, given):
            return super().forward(given) * (1 + 0.1 * (len(given.flags) > 1))

    careless = Careless(text_dim=80, widths=(8, 8, 8), depths=(1, 1, 1)).eval()
    assert several_at_once(careless, picture, scene_with) == [5] + 10 * [1]


def test_in_bfloat16_all_is_as_autocast_makes_it_also_after_the_weights_have_changed(picture, scene_with):
    compositor = make_compositor()
    present = Present(picture(SIZE, 1)[None], scene_with(SIZE).camera, torch.zeros(5, 16), 3, 24)
    composer, part = FrameComposer(compositor, torch.device("cpu")), some_parts()
    composer.in_bfloat16 = True
    made = []
    for _ in range(2):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            noise = counted_noise([3], [36], "compose", (1, *SIZE), torch.device("cpu"), torch.float32)
            expected = uint8_from_images(compositor(as_ingredients([part], noise, torch.zeros(1, 5, 16))))[0]
        made.append(composer.composed([part], present, [12])[0])
        assert (made[-1] == expected).all()
        compositor.load_state_dict(make_compositor(1).state_dict())
    assert (made[0] != made[1]).any()
    assert compositor.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_pictures_are_halved_as_torch_does_it(dtype):
    x = torch.randn(2, 3, 8, 12).to(dtype)
    made = _halved(x)
    assert torch.equal(made, torch.nn.functional.pixel_unshuffle(x, 2))
    assert made.is_contiguous(memory_format=torch.channels_last)


def test_a_begun_second_is_found_again_by_what_it_shows(picture, scene_with):
    camera, begun = scene_with(SIZE).camera, BegunSeconds(most=2)
    poses = np.column_stack([np.arange(13) * 0.8, np.zeros(13), np.zeros(13)])
    road = RoadLayout(np.array([[[0.0, -3], [60, -3], [60, 3], [0, 3]]]), np.array([ROAD], np.uint8))
    around, first = Surroundings(poses, road), picture(SIZE, 1)
    parts = begun.parts(first, around, camera)
    assert begun.parts(first.copy(), replace(around, poses=poses.copy()), camera) is parts
    for frame in (3, 9):
        parts.prepare(frame)
    fresh, last = SecondParts(first, around, camera), picture(SIZE, 2)
    for kept, new in zip(parts.between(last, [3, 7, 9]), fresh.between(last, [3, 7, 9]), strict=True):
        assert all((a == b).all() for a, b in zip(vars(kept).values(), vars(new).values(), strict=True))
    others = [
        (last, around),
        (first, replace(around, poses=poses + 0.01)),
        (first, replace(around, layout=None)),
        (first, replace(around, layout=RoadLayout(road.corners_m + 1, road.kinds))),
    ]
    for image, known in others:
        assert begun.parts(image, known, camera) is not parts
    newest = begun.parts(first, around, camera)
    assert newest is not parts, "only the last ones are kept"
    assert begun.parts(first, around, camera) is newest
    assert copy.deepcopy(begun).parts(first, around, camera) is not newest


def test_a_drive_is_composed_and_repeats_bit_for_bit(world, pipeline, scene_with, straight):
    state = world.begin(scene_with(SIZE, num_past=36), 3)
    (after,), frames = world.advance([state], [straight], 12)
    (again,), repeated = world.advance([state], [straight], 12)
    assert (frames == repeated).all()
    assert all((after.arrays[name] == again.arrays[name]).all() for name in after.arrays)
    assert frames.shape == (1, 12, *SIZE, 3)
    plain = DiffusionWorld(pipeline)
    assert (frames != plain.advance([plain.begin(scene_with(SIZE, num_past=36), 3)], [straight], 12)[1]).any()


def test_a_batch_gives_what_its_members_give_alone(world, scene_with, drive_at):
    states = [world.begin(scene_with(SIZE, seed=seed), seed) for seed in (1, 2, 3)]
    trajectories = [drive_at(4.0), drive_at(8.0, 1.0), drive_at(0.0)]
    _, together = world.advance(states, trajectories, 7)
    for index, state in enumerate(states):
        _, alone = world.advance([state], [trajectories[index]], 7)
        assert (together[index] == alone[0]).all()


def test_a_shorter_period_shows_the_beginning_of_a_longer_one(world, scene_with, straight):
    state = world.begin(scene_with(SIZE), 1)
    _, whole = world.advance([state], [straight], 12)
    for count in (1, 5, 11):
        assert (world.advance([state], [straight], count)[1] == whole[:, :count]).all()


@pytest.mark.parametrize("times", [2, 3])
def test_larger_pictures_keep_the_coarse_model_at_its_own_size(composing, scene_with, straight, times):
    size = (SIZE[0] * times, SIZE[1] * times)
    world = DiffusionWorld(composing, image_size=size)
    state = world.begin(scene_with(size, num_past=36), 1)
    (state,), frames = world.advance([state], [straight], 12)
    assert frames.shape == (1, 12, *size, 3)
    assert world.advance([state], [straight], 3)[1].shape == (1, 3, *size, 3)


def test_a_pipeline_keeps_its_compositor(composing, scene_with, straight, tmp_path):
    composing.save_pretrained(tmp_path)
    loaded = DiffusionWorld.from_pretrained(tmp_path)
    assert loaded.pipeline.compositor is not None
    world, scene = DiffusionWorld(composing), scene_with(SIZE)
    first = world.advance([world.begin(scene, 1)], [straight], 12)[1]
    assert (first == loaded.advance([loaded.begin(scene, 1)], [straight], 12)[1]).all()


def test_built_in_scenes_show_the_compositor_what_stands_beside_the_road(composing, straight):
    from longdwm_env.simulator.scene import builtin_scene

    scene = builtin_scene(21)
    world = DiffusionWorld(composing)
    scene = replace(scene, camera=scene.camera.fitted(SIZE))
    state = world.begin(scene, 1)
    assert "scenery_kinds" in state.arrays
    bare = replace(state, arrays={name: a for name, a in state.arrays.items() if not name.startswith("scenery_")})
    shown, hidden = (world.advance([each], [straight], 12)[1] for each in (state, bare))
    assert (shown != hidden).any()


def test_places_without_a_map_may_be_left_to_the_fine_model(built, pipeline, scene_with, straight):
    """As mini does: there all is as if it had no compositor, in larger pictures enlarged."""
    careful = built("debug")
    settings = {**careful.settings.to_json(), "compose_without_map": False}
    careful.register_to_config(settings=settings)
    careful.register_modules(compositor=make_compositor())
    ours, plain = DiffusionWorld(careful), DiffusionWorld(pipeline)
    scene = scene_with(SIZE, num_past=36)
    frames = ours.advance([ours.begin(scene, 3)], [straight], 12)[1]
    assert (frames == plain.advance([plain.begin(scene, 3)], [straight], 12)[1]).all()
    large = DiffusionWorld(careful, image_size=(64, 96))
    state = large.begin(scene_with((64, 96), num_past=36), 3)
    assert large.advance([state], [straight], 5)[1].shape == (1, 5, 64, 96, 3)
