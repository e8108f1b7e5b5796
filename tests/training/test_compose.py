"""The compositor's training: drives that see their own errors, a ring of moments, and a trainer that can be stopped."""

import numpy as np
import pytest
import torch

from longdwm_env.errors import InvalidConfig
from longdwm_env.models import presets
from longdwm_env.models.compositor import FLAGS, Compositor, Ingredients
from longdwm_env.models.world import DiffusionWorld
from longdwm_env.training.composition.choice import chosen_street
from longdwm_env.training.composition.config import ComposeConfig, CompositorTraining, StreetShares
from longdwm_env.training.composition.critic import (
    PatchCritic,
    critic_views,
    motion_distance,
    patch_distance,
    texture_distance,
    weighted_mean,
)
from longdwm_env.training.composition.drives import OwnDrive
from longdwm_env.training.composition.looks import PhotographicLook, PhotographicStreet
from longdwm_env.training.composition.stage import compose
from longdwm_env.training.composition.store import MomentRing
from longdwm_env.training.composition.streets import EVERYTHING, NOTHING, SimulatedStreet
from longdwm_env.training.composition.train import CompositorTrainer, mirrored, train
from longdwm_env.training.recipes import recipe
from longdwm_env.training.workspace import Workspace

SIZE = (32, 48)
SEED = 21


def small_compositor(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Compositor(text_dim=80, widths=(8, 8, 8), depths=(1, 1, 1))


@pytest.fixture(scope="module")
def pipeline():
    made = presets.build(presets.PRESETS["debug"]())
    made.register_modules(compositor=small_compositor().eval())
    return made


def a_drive(pipeline, street, **how):
    return OwnDrive(pipeline, pipeline.generation(), street, np.random.default_rng(1), **how)


def test_a_drive_goes_on_from_what_it_made(pipeline):
    drive = a_drive(pipeline, SimulatedStreet(SEED, EVERYTHING, SIZE))
    moments = drive.advance((6, 9))
    assert [moment.parts.flags[FLAGS.index("keyframe")] for moment in moments] == [1, 0, 0]
    made = drive.made[12]
    assert (drive.history[-1] == made).all()
    assert (made != moments[0].target).any()
    later = drive.advance((6,))
    assert later[0].second == 1
    assert later[0].target.shape == (*SIZE, 3)


def test_the_truth_beside_it_is_the_simulator_s(pipeline):
    street, alone = (SimulatedStreet(SEED, EVERYTHING, SIZE) for _ in range(2))
    drive = a_drive(pipeline, street)
    moments = drive.advance((6,))
    stretch = alone.drive_on()
    assert (moments[0].target == stretch.truth(12)).all()
    assert (moments[1].target == stretch.truth(6)).all()
    # Beside it the truth of the keyframes as it moves: about what was to be seen, where the map agrees.
    agrees = moments[1].parts.masks[0] > 0
    near, far = (
        np.abs(moments[1].target.astype(float) - other)[agrees].mean()
        for other in (moments[1].taken[0], stretch.truth(0))
    )
    assert near < far
    assert not moments[0].taken[1].any()


def test_knowledge_is_withheld(pipeline):
    shown = a_drive(pipeline, SimulatedStreet(SEED, EVERYTHING, SIZE)).advance(())[0]
    hidden = a_drive(pipeline, SimulatedStreet(SEED, NOTHING, SIZE)).advance(())[0]
    assert shown.parts.flags[2:4].tolist() == [1, 1]
    assert hidden.parts.flags[2:4].tolist() == [0, 0]
    assert (shown.target == hidden.target).all()
    assert len(np.unique(hidden.parts.map_picture[..., :3].reshape(-1, 3), axis=0)) < 20


def test_a_restyled_drive_begins_with_the_picture_drawn_anew(pipeline):
    from longdwm_env.simulator.conditions import Conditions

    street = SimulatedStreet(SEED, EVERYTHING, SIZE, conditions=Conditions("fog", "night"))
    before = street.history[-1].copy()
    drive = a_drive(pipeline, street, restyled=True)
    assert len(drive.history) == 1
    first, *others = drive.advance(())
    assert first.second == 0
    assert len(others) == 1
    assert first.target.mean() < before.mean()


def test_larger_pictures_are_kept_in_parts(pipeline):
    drive = a_drive(pipeline, SimulatedStreet(SEED, EVERYTHING, (64, 96)))
    (moment,) = drive.advance(())
    columns = moment.columns(np.random.default_rng(0), SIZE)
    assert columns["targets"].shape == (*SIZE, 3)
    assert columns["pictures"].shape == (4, *SIZE, 3)
    rows = [r for r in range(33) if (moment.target[r : r + 32, :, 0] == 0).shape[0] == 32]
    assert any((moment.target[r : r + 32, c : c + 48] == columns["targets"]).all() for r in rows for c in range(49))


def test_arcs_leave_the_road_and_are_driven_exactly():
    street = SimulatedStreet(SEED, EVERYTHING, SIZE, arcs=np.random.default_rng(2))
    poses = np.concatenate([street.drive_on().surroundings.poses[1:] for _ in range(3)])
    steps = np.hypot(*np.diff(poses[:, :2], axis=0).T)
    assert steps.max() < 20 / 12 + 1e-6
    assert np.ptp(poses[:, 2]) > 0


def test_a_look_is_one_for_the_whole_drive_and_fixed_to_the_world():
    look = PhotographicLook.drawn(np.random.default_rng(3))
    plain = SimulatedStreet(SEED, NOTHING, (96, 144), whole=True)
    street = PhotographicStreet(SimulatedStreet(SEED, NOTHING, (96, 144), whole=True), look)
    ours, theirs = street.drive_on(), plain.drive_on()
    assert ours.surroundings.layout is None
    assert theirs.surroundings.layout is not None
    assert (ours.truth(12) == ours.truth(12)).all()
    assert (ours.truth(12) != theirs.truth(12)).mean() > 0.5


def test_streets_of_every_kind_are_chosen():
    rng = np.random.default_rng(0)
    shares = StreetShares(photographic=0.5, restyled=0.5, large=0.5)
    chosen = [chosen_street(rng, shares, 50, (SIZE, (64, 96))) for _ in range(12)]
    assert {type(each.street) for each in chosen} == {SimulatedStreet, PhotographicStreet}
    assert {each.restyled for each in chosen} == {True, False}
    assert {each.street.camera.intrinsics.height_px for each in chosen} == {32, 64}
    assert all(each.street.seed < 50 for each in chosen)


def a_moment(value, size=SIZE):
    return {
        "pictures": np.full((4, *size, 3), value, np.uint8),
        "taken": np.full((2, *size, 3), value, np.uint8),
        "masks": np.full((2, *size), 255, np.uint8),
        "map_pictures": np.full((*size, 4), value, np.uint8),
        "flags": np.array([1, 1, 1, 1, 0], np.float32),
        "texts": np.zeros((5, 16), np.float32),
        "targets": np.full((*size, 3), value, np.uint8),
        "road_users": np.zeros(size, np.uint8),
        "seconds": 0,
    }


def test_in_a_ring_the_oldest_give_way(tmp_path):
    ring = MomentRing.open(tmp_path, 4, SIZE, (5, 16))
    for value in range(6):
        ring.add(a_moment(value))
    again = MomentRing.open(tmp_path, 4, SIZE, (5, 16))
    assert len(again) == 4
    assert sorted(again.batch(np.arange(4))["targets"][:, 0, 0, 0]) == [2, 3, 4, 5]
    with pytest.raises(InvalidConfig, match="name another folder"):
        MomentRing.open(tmp_path, 5, SIZE, (5, 16))


def test_a_mirrored_batch_is_mirrored_in_every_picture():
    rng = np.random.default_rng(0)
    moments = {name: np.asarray(value)[None] for name, value in a_moment(0).items()}
    picture = rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    moments |= {"targets": picture[None], "pictures": np.repeat(picture[None, None], 4, 1)}
    flipped = mirrored(moments)
    assert (flipped["targets"][0] == picture[:, ::-1]).all()
    assert (flipped["pictures"][0, 2] == picture[:, ::-1]).all()
    again = mirrored(flipped)
    assert all((again[name] == moments[name]).all() for name in moments)


def filled_ring(folder):
    ring = MomentRing.open(folder, 16, SIZE, (5, 16))
    rng = np.random.default_rng(0)
    for _ in range(16):
        moment = a_moment(0)
        moment["targets"] = rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        ring.add(moment)
    return ring


def test_stopped_and_resumed_it_is_the_same_training(tmp_path):
    ring = filled_ring(tmp_path / "ring")
    config = CompositorTraining(batch=2, alone_steps=2, rising_steps=2, save_every=100, least_moments=4)
    whole = CompositorTrainer(small_compositor(), config, tmp_path / "whole")
    train(ring, whole, 6, tmp_path / "whole.jsonl")
    first = CompositorTrainer(small_compositor(), config, tmp_path / "parts")
    train(ring, first, 4, tmp_path / "parts.jsonl")
    second = CompositorTrainer(small_compositor(seed=9), config, tmp_path / "parts")
    assert second.step == 4
    train(ring, second, 6, tmp_path / "parts.jsonl")
    for name in ("compositor", "averaged", "critic"):
        ours, theirs = getattr(whole, name).state_dict(), getattr(second, name).state_dict()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name


def test_what_was_logged_after_the_last_checkpoint_is_left_out_when_it_is_done_again(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 50}\n{"step": 100}\n')
    config = CompositorTraining(batch=2, alone_steps=2, rising_steps=2, save_every=100, least_moments=4)
    trainer = CompositorTrainer(small_compositor(), config, tmp_path / "folder")
    train(filled_ring(tmp_path / "ring"), trainer, 2, log)
    assert log.read_text() == ""


def test_several_writers_of_a_ring_lose_nothing(tmp_path):
    first, second = (MomentRing.open(tmp_path, 8, SIZE, (5, 16)) for _ in range(2))
    for value in range(4):
        first.add(a_moment(value))
        second.add(a_moment(10 + value))
    assert sorted(first.batch(np.arange(8))["targets"][:, 0, 0, 0]) == [0, 1, 2, 3, 10, 11, 12, 13]


def test_patch_distance_is_nothing_between_equals_and_grows():
    picture = torch.rand(2, 3, *SIZE) * 2 - 1
    same, other = patch_distance(picture, picture, torch.ones(1)), patch_distance(picture, picture + 0.5, torch.ones(1))
    assert (same < other).all()
    assert same.max() < 0.02


def a_texture(seed):
    return torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(seed))


def test_a_faint_texture_counts_like_a_strong_one():
    texture, everywhere = a_texture(0), torch.ones(1, 1, 32, 48)
    strong, faint = (texture_distance(-share * texture, share * texture, everywhere) for share in (0.5, 0.1))
    # Brightness is not texture.
    assert texture_distance(0 * texture + 0.3, texture, everywhere) < 0.05
    assert 0.8 < float(faint) < 1.2
    assert float(faint) == pytest.approx(float(strong), rel=0.05)
    # What is drawn where nothing was wanted counts more than what is missing.
    assert texture_distance(0.1 * texture, 0 * texture, everywhere) > 2 * faint


def test_what_was_made_goes_by_like_the_truth():
    own, truth, change = a_texture(0), a_texture(1), 0.1 * a_texture(2)
    nothing = torch.zeros_like(own)
    masks = torch.stack([torch.ones(1, 32, 48), torch.zeros(1, 32, 48)], 1)
    given = Ingredients(
        torch.stack([own, nothing, nothing, nothing], 1), masks,
        torch.zeros(1, 4, 32, 48), torch.zeros(1, 1, 32, 48), torch.zeros(1, 5, 16), torch.zeros(1, len(FLAGS)),
    )  # fmt: skip
    taken = torch.stack([truth, nothing], 1)
    kept = motion_distance(own + change, given, truth + change, taken)
    assert kept < 0.1
    assert motion_distance(a_texture(3), given, truth + change, taken) > 5 * kept
    # Also the truth itself, if something else was there before.
    assert motion_distance(truth + change, given, truth + change, taken) > 5 * kept


def test_the_critic_sees_faint_grain_and_whether_it_goes_along():
    def seen(made, keyframe, wanted):
        picture, shown = critic_views(made, keyframe, torch.ones(1, 32, 48), torch.zeros(1, 4, 32, 48), wanted)
        return picture, shown[:, 4:7].std(), shown[:, 7:].std()

    grain = 0.03 * a_texture(0)
    picture, texture, change = seen(grain, grain, grain)
    assert picture.std() < 0.15
    assert 0.3 < texture < 0.7
    assert change < 0.01
    # A road without grain, and one whose grain is drawn anew.
    assert seen(0 * grain, 0 * grain, grain)[1] < 0.01
    assert seen(0.03 * a_texture(1), grain, grain)[2] > 0.3


def test_the_critic_looks_at_two_scales():
    scores, features = PatchCritic(width=8)(torch.zeros(1, 3, *SIZE), torch.zeros(1, 10, *SIZE))
    assert [tuple(score.shape[2:]) for score in scores] == [(8, 12), (4, 6)]
    assert len(features) == 6


def test_scores_where_road_users_are_count_by_their_weights():
    scores, weights = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 8, 8)
    scores[..., 0, 0], weights[..., :4, :4] = 1.0, 6.0
    assert float(weighted_mean(scores, weights)) == pytest.approx(1.5)


def test_drives_grow_longer_with_the_steps():
    config = ComposeConfig(steps=100, longest_s=(5, 40))
    assert [config.longest_at(step) for step in (0, 33, 67, 100, 200)] == [5, 10, 20, 40, 40]


@pytest.mark.usefixtures("forked_workers")
def test_the_stage_puts_a_compositor_into_the_pipeline(tmp_path):
    chosen = recipe("mini-simulator", "debug")
    workspace = Workspace(tmp_path / "mini")
    workspace.prepare(chosen)
    assert workspace.load().compositor is None
    config = ComposeConfig(
        CompositorTraining(batch=2, alone_steps=2, rising_steps=1, save_every=2, least_moments=4),
        steps=4, ring=16, longest_s=(2, 2), last_seed=50, widths=(8, 8, 8), depths=(1, 1, 1),
    )  # fmt: skip
    assert compose(workspace, config, workers=1, max_seconds=0.0) == (0, False)
    assert not workspace.done("compose")
    step, finished = compose(workspace, config, workers=1)
    assert (step, finished) == (4, True)
    assert workspace.done("compose")
    world = DiffusionWorld.from_pretrained(workspace.pipeline)
    assert world.pipeline.compositor is not None
