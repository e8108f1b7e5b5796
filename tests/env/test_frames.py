"""Pictures are drawn when they are looked at, and look the same whenever that is."""

import copy

import numpy as np
import pytest

from longdwm_env.episodes.lazy_frames import Frames

SIZE = (4, 6)


class Pen:
    """Draws frame i in the grey i, and remembers which it drew."""

    def __init__(self):
        self.drawn = []

    def __call__(self, index):
        self.drawn.append(index)
        return np.full((*SIZE, 3), index, np.uint8)


@pytest.fixture
def pen():
    return Pen()


@pytest.fixture
def drawings(monkeypatch):
    """Counts the frames that the simulator draws for its world."""
    from longdwm_env.worlds import simulator_world as simulator

    drawn = []
    draw_frame = simulator.draw_frame

    def counted(road, seed, traffic, frame, *rest):
        drawn.append(frame)
        return draw_frame(road, seed, traffic, frame, *rest)

    monkeypatch.setattr(simulator, "draw_frame", counted)
    return drawn


def test_the_newest_is_drawn_alone_and_every_frame_once(pen):
    frames = Frames(5, SIZE, pen)
    assert (len(frames), frames.shape) == (5, (5, *SIZE, 3))
    assert pen.drawn == []
    assert (frames.newest == 4).all()
    assert (frames.newest == 4).all()
    assert pen.drawn == [4]
    assert frames.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert frames.images is frames.images
    assert sorted(pen.drawn) == [0, 1, 2, 3, 4]
    assert (frames.newest == 4).all()
    for array in (frames.newest, frames.images):
        assert not array.flags.writeable


def test_frames_that_are_there_are_copied_only_where_somebody_could_write():
    images = np.zeros((2, *SIZE, 3), np.uint8)
    copied = Frames.of(images)
    images[:] = 9
    assert (copied.images == 0).all()
    assert Frames.of(copied.images).images is copied.images


def test_pictures_travel_and_their_making_does_not(pen):
    # What a deep copy is made of is also what another process is sent.
    frames = Frames(3, SIZE, pen)
    back = copy.deepcopy(frames)
    assert sorted(pen.drawn) == [0, 1, 2]
    assert back.images[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert back.images is not frames.images
    assert not back.images.flags.writeable
    assert sorted(pen.drawn) == [0, 1, 2]


def test_an_agent_that_sees_one_frame_has_one_drawn(make, kit, drawings):
    env = make("simulator", obs_mode="frame", control_period_s=0.5, render_mode="rgb_array")
    env.reset(seed=5)
    for _ in range(3):
        drawings.clear()
        seen, *_ = env.step(kit.ahead())
        np.testing.assert_array_equal(env.render(), seen)
        assert len(drawings) == 1
    # Who asks for the whole state afterwards gets all of it.
    np.testing.assert_array_equal(env.unwrapped.get_state().frames[-1], seen)
    assert len(drawings) == 6


def test_the_start_is_the_same_however_it_is_looked_at(make, kit):
    frame, _ = make("simulator", obs_mode="frame").reset(seed=4)
    env = make("simulator")
    video, info = env.reset(seed=4)
    np.testing.assert_array_equal(frame, video["frames"][-1])
    np.testing.assert_array_equal(info["ego"], video["ego"])
    scene = env.unwrapped.scene
    np.testing.assert_array_equal(video["frames"], scene.log.images(-11, 12, env.unwrapped.get_state().camera))


def test_futures_are_drawn_when_their_frames_are_asked_for(make, kit, drawings):
    env = make("simulator")
    env.reset(seed=6)
    drawings.clear()
    actions = np.stack([[kit.ahead(4.0 + f)] * 2 for f in range(2)])
    futures = env.unwrapped.imagine(actions)
    assert futures.rewards.shape == (2, 2)
    assert drawings == []
    assert futures.frames.shape == (2, 2, 12, *kit.small, 3)
    assert futures.frames is futures.frames
    assert len(drawings) == 2 * 2 * 12
    np.testing.assert_array_equal(futures.frames[1, 1], futures.states[1].frames)


def test_a_reward_that_looks_at_frames_sees_them(make, kit, drawings):
    from longdwm_env import RewardTerm

    seen = []

    def brightness(driven):
        seen.append(driven.frames)
        return float(driven.frames.mean())

    term = RewardTerm("brightness", "of 255", "test", brightness)
    env = make("simulator", obs_mode="frame", reward={term: 1.0}, control_period_s=0.5)
    env.reset(seed=5)
    drawings.clear()
    env.step(kit.ahead())
    assert seen[0].shape == (6, *kit.small, 3)
    assert len(drawings) == 6
    assert env.unwrapped.get_state().frames is seen[0]
