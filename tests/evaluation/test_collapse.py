"""The detector of collapse: every kind is noticed, and roads in changing light are not taken for one."""

import numpy as np
import pytest

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.worlds.collapse import DAMAGES, SIGNS, course, damaged

from ..training.scenery import PaintedRoad

SECONDS = 12
HALF = SECONDS * 12 // 2

SHOWS = {
    "blurred": {"blurred"},
    "frozen": {"frozen"},
    "one colour": {"blurred"},
    "grey": {"blurred"},
    "noise": {"grainy"},
    "frozen noise": {"grainy"},
    "upside down": {"upside down"},
    "meadow": {"ground recoloured"},
}


@pytest.fixture(scope="module")
def roads():
    """Three drives as (frames, speeds)."""
    source = PaintedRoad(clips=9, frames=SECONDS * 12 + 1, image_size=(48, 72))
    # Those in the rain: under a bright sky the horizon, which no blur takes away, is most of what there is to see.
    return [(clip.images, clip.labels["speed_mps"].astype(float)) for clip in map(source.clip, (2, 5, 8))]


def in_sun_and_shade(frames):
    """As under trees: two seconds of light, then two of blue shade with a third of it, and so on."""
    shade = (np.arange(len(frames)) // 24 % 2 == 1)[:, None, None, None]
    return np.where(shade, frames * [0.28, 0.33, 0.45], frames).astype(np.uint8)


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("light", [lambda frames: frames, in_sun_and_shade], ids=["even light", "sun and shade"])
def test_every_damage_is_noticed_by_its_sign(roads, kind, light) -> None:
    for frames, speeds in roads:
        found = course(damaged(light(frames), kind, HALF), speeds).collapse
        assert found is not None
        assert found.time_s > SECONDS / 2 + 1
        assert found.time_s < SECONDS / 2 + 5
        assert found.sign in SHOWS[kind]


def test_neither_a_road_nor_its_light_is_a_collapse(roads) -> None:
    for frames, speeds in roads:
        plain, lit = course(frames, speeds), course(in_sun_and_shade(frames), speeds)
        assert plain.collapse is None
        assert lit.collapse is None
        assert (plain.anomaly < 0.5).all()


def test_a_collapse_must_last_and_a_car_that_stands_may_see_a_still_picture(roads) -> None:
    frames, speeds = roads[0]
    flash = frames.copy()
    flash[60:80] = 0
    assert course(flash, speeds).collapse is None
    frozen = damaged(frames, "frozen", HALF)
    assert course(frozen, speeds).collapse.sign == "frozen"
    assert course(frozen, np.zeros(len(frames))).collapse is None
    # The order of above and below is known without motion.
    assert course(damaged(frames, "upside down", HALF), np.zeros(len(frames))).collapse.sign == "upside down"


def test_signs_begin_at_nothing_and_are_shares_of_their_bounds(roads) -> None:
    frames, speeds = roads[1]
    found = course(damaged(frames, "noise", HALF), speeds)
    assert found.shares.shape == (len(found.times_s), len(SIGNS))
    assert found.times_s[0] == 4
    assert found.times_s[-1] == SECONDS
    assert (found.shares[0, :4] < 0.3).all()
    np.testing.assert_array_equal(found.anomaly, found.shares.max(axis=1))
    assert found.collapse.time_s == found.times_s[np.flatnonzero(found.anomaly > 1)[0]]


def test_the_size_of_pictures_does_not_matter() -> None:
    clip = PaintedRoad(clips=1, frames=61, image_size=(96, 144)).clip(0)
    speeds = clip.labels["speed_mps"].astype(float)
    twice = clip.images.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(course(twice, speeds).held, course(clip.images, speeds).held)


def test_what_cannot_be_judged_is_refused(roads) -> None:
    frames, speeds = roads[0]
    with pytest.raises(InvalidConfig, match="4 s or more"):
        course(frames[:48], speeds[:48])
    assert len(course(frames[:49], speeds[:49]).times_s) == 1
    with pytest.raises(InvalidConfig, match="there is no damage"):
        damaged(frames, "boredom", 0)
