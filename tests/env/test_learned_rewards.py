"""Terms that a network judges: when they enter, what they are shown, and that they cost nothing unless asked."""

import numpy as np
import pytest

from longdwm_env import InvalidConfig, MissingWeights
from longdwm_env.episodes import learned_scorers as judges
from longdwm_env.rewards import DEFAULT_STAND_INS, DEFAULT_WEIGHTS

BOTH = {"learned_danger": 1.0, "learned_off_road": 1.0}


class Reader:
    """Stands for the scorer: what it says is read off the pixels, so that it shows which ones it was given."""

    def __init__(self):
        self.windows = []

    def judge(self, windows):
        self.windows.append(windows)
        flat = windows.reshape(len(windows), -1).astype(np.float64)
        return np.stack([flat.mean(axis=1), flat.std(axis=1)], axis=1) / 255


@pytest.fixture
def reader(monkeypatch):
    reader = Reader()
    monkeypatch.setattr(judges, "make_scorer", lambda device: reader)
    return reader


@pytest.fixture
def generated(kit):
    """Makes a world that generates its pixels and predicts several times over."""

    class Dream(kit.NoiseWorld):
        name = "dream"
        device = "cpu"
        remembered = 24

        def __init__(self, **keywords):
            super().__init__(**keywords)
            self.asked = []

        def begin(self, scene, seed):
            state = super().begin(scene, seed)
            count = min(self.remembered, scene.log.num_past + 1)
            frames = scene.log.images(1 - count, count, scene.camera)
            return type(state)({**state.arrays, "frames": frames}, state.values, state.actors)

        def advance(self, states, trajectories, num_frames):
            following, clips = super().advance(states, trajectories, num_frames)
            seen = [
                np.concatenate([state.arrays["frames"], clip])[-self.remembered :]
                for state, clip in zip(states, clips, strict=True)
            ]
            kept = [
                type(state)({**state.arrays, "frames": frames}, state.values, state.actors)
                for state, frames in zip(following, seen, strict=True)
            ]
            return kept, clips

        def recent_frames(self, state, count):
            return state.arrays["frames"][-count:]

        def uncertainty(self, states, trajectories):
            self.asked.append(len(states))
            driven = [state.values["driven"] for state in states]
            return np.array([d + abs(t.poses[11, 1]) for d, t in zip(driven, trajectories, strict=True)])

    return Dream


def scenes(kit, **changes):
    return [kit.a_scene("first", **changes), kit.a_scene("second", **changes)]


def test_they_judge_the_frames_of_the_period(make, kit, reader, generated):
    env = make(generated(), scenes(kit), reward=BOTH)
    env.reset(seed=0)
    observation, reward, *_, info = env.step(kit.ahead())
    assert np.array_equal(reader.windows[0][0], observation["frames"])
    terms = info["reward_terms"]
    assert terms["learned_danger"] == -observation["frames"].mean() / 255
    assert terms["learned_off_road"] == pytest.approx(-observation["frames"].std() / 255)
    assert reward == pytest.approx(sum(terms.values()))
    assert not info["unavailable"]


@pytest.mark.parametrize("num_past", [0, 3, 30])
def test_a_shorter_period_is_filled_up_with_what_was_really_seen(make, kit, reader, generated, num_past):
    source = scenes(kit, log=kit.GreyLog(num_past=num_past))
    env = make(generated(), source, reward=BOTH, control_period_s=5 / 12)
    observation, _ = env.reset(seed=0)
    log = kit.GreyLog(num_past=num_past)
    seen = list(log.images(-num_past, num_past + 1, kit.a_camera()))
    for _ in range(4):
        observation, *_, info = env.step(kit.ahead())
        seen += list(observation["frames"])
        if len(seen) < 12:
            assert set(info["unavailable"]) == set(BOTH)
            assert "looks at 12 frames" in info["unavailable"]["learned_danger"]
            assert not reader.windows
        else:
            assert np.array_equal(reader.windows[-1][0], np.stack(seen[-12:]))


def test_a_world_that_remembers_no_frames_has_those_of_the_last_period(make, kit, reader):
    for frames, available in ((7, [False, True]), (5, [False, False])):
        env = make(
            kit.NoiseWorld(), scenes(kit, log=kit.GreyLog(num_past=0)), reward=BOTH, control_period_s=frames / 12
        )
        env.reset(seed=0)
        for expected in available:
            *_, info = env.step(kit.ahead())
            assert ("learned_danger" in info["reward_terms"]) is expected


def test_by_default_they_stand_in_where_pixels_are_generated_and_geometry_is_missing(make, kit, reader, generated):
    env = make(generated(), scenes(kit, road_map=None))
    env.reset(seed=0)
    _, reward, *_, info = env.step(kit.ahead())
    terms = info["reward_terms"]
    assert {"learned_danger", "learned_off_road"} <= set(terms)
    assert {"collision", "drivable_area"} <= set(info["unavailable"])
    weights = DEFAULT_WEIGHTS | {stand_in.term.name: stand_in.weight for stand_in in DEFAULT_STAND_INS}
    assert reward == pytest.approx(sum(weights[name] * value for name, value in terms.items()))
    assert "uncertainty" not in terms


def test_by_default_geometry_comes_first(make, kit, reader, generated):
    world = generated(traffic=kit.standing_car(80.0))
    env = make(world, scenes(kit))
    env.reset(seed=0)
    *_, info = env.step(kit.ahead())
    assert set(info["reward_terms"]) == set(DEFAULT_WEIGHTS)
    assert not info["unavailable"]
    assert not reader.windows
    assert not world.asked
    env = make(generated(), scenes(kit))
    env.reset(seed=0)
    *_, info = env.step(kit.ahead())
    assert "learned_danger" in info["reward_terms"]
    assert "learned_off_road" not in {**info["reward_terms"], **info["unavailable"]}


@pytest.mark.parametrize("world", ["warp", "simulator"])
def test_worlds_that_do_not_generate_are_judged_only_when_asked(make, kit, reader, world):
    env = make(world)
    env.reset(seed=0)
    *_, info = env.step(kit.ahead())
    assert not set(BOTH) & {*info["reward_terms"], *info["unavailable"]}
    assert not reader.windows
    env = make(world, reward={**BOTH, "uncertainty": 1.0})
    env.reset(seed=0)
    *_, info = env.step(kit.ahead())
    assert set(info["reward_terms"]) == set(BOTH)
    assert "one prediction" in info["unavailable"]["uncertainty"]


def test_without_weights_they_are_unavailable_and_say_why(make, kit, generated, monkeypatch):
    def missing(device):
        raise MissingWeights("no trained scorer here")

    monkeypatch.setattr(judges, "make_scorer", missing)
    env = make(generated(), scenes(kit, road_map=None))
    env.reset(seed=0)
    *_, info = env.step(kit.ahead())
    assert info["unavailable"]["learned_danger"] == info["unavailable"]["learned_off_road"] == "no trained scorer here"
    assert set(info["reward_terms"]) == {"progress", "comfort", "feasibility"}


def test_a_batch_is_judged_at_once_and_as_its_members_alone(make, kit, reader, generated):
    reward = {**BOTH, "uncertainty": 0.5}
    world = generated()
    env = make(world, scenes(kit), reward=reward)
    env.reset(seed=0)
    actions = np.stack([kit.ahead(bend=bend) for bend in (0.0, 0.01, -0.01)])[:, None]
    futures = env.unwrapped.imagine(actions)
    assert [len(windows) for windows in reader.windows] == [3]
    assert world.asked == [3]
    for index in range(3):
        alone = env.unwrapped.imagine(actions[index : index + 1])
        assert alone.rewards[0, 0] == futures.rewards[index, 0]
    *_, info = env.step(actions[1, 0])
    assert info["reward_terms"]["uncertainty"] < 0
    assert sum(reward[name] * value for name, value in info["reward_terms"].items()) == futures.rewards[1, 0]


def test_a_judge_that_gives_no_number_is_refused(make, kit, monkeypatch, generated):
    class Broken:
        def judge(self, windows):
            return np.full((len(windows), 2), np.nan)

    monkeypatch.setattr(judges, "make_scorer", lambda device: Broken())
    env = make(generated(), scenes(kit), reward=BOTH)
    env.reset(seed=0)
    with pytest.raises(InvalidConfig, match="'learned_danger' gave nan"):
        env.step(kit.ahead())
