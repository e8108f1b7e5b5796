"""Roads and pictures from strangers: a drive comes of them, or an error of our own.

``LONGDWM_FUZZ_CASES=20000`` in the environment tries as many of each (CONTRIBUTING.md).
"""

import os
import random
from contextlib import suppress
from dataclasses import fields, replace

import numpy as np
import pytest

from longdwm_env.env import LongDWMEnv
from longdwm_env.errors import InvalidConfig, InvalidScene, LongDWMError
from longdwm_env.io.figures import save_picture
from longdwm_env.scenes import Road, open_scenes
from longdwm_env.scenes.made_roads import with_words, without_words
from longdwm_env.scenes.vanishing import MOST_UPRIGHT, vanishing_point

from ..agents.damage import NUMBERS, WORDS, anything

CASES = int(os.environ.get("LONGDWM_FUZZ_CASES", "24"))
NAMES = [field.name for field in fields(Road)]
PARTS = ["straight", "0.02", "-1e-320", "1e-9", "0.1", "nan", "-inf", "9" * 400, "x", "", "=", "==", "²", "1_0", " 2 "]
PARTS += ["left", "right", "trees", "houses", "buildings", "nothing", "0x1", "1e-400", "-0.0", "\ud800", "a" * 5000]
SIDES_PX = (1, 2, 3, 16, 31, 96, 400, 1600)
AHEAD = np.array([[3.0, 0], [6, 0], [9, 0], [12, 0]])


class Hostile:
    def __float__(self):
        raise LookupError("a number")

    def __eq__(self, other):
        raise KeyError("equal")

    __hash__ = None


def words(chance):
    """What may stand after ``road=``."""
    parts = [chance.choice(PARTS)] if chance.random() < 0.8 else []
    parts += [f"{chance.choice([*NAMES, 'x', ''])}={chance.choice(PARTS)}" for _ in range(chance.randrange(4))]
    return ",".join(parts)


def bold(chance):
    """A road at the bounds of what may be said."""
    lanes, sign = chance.choice([1, 2, 8]), chance.choice([-1, 1])
    return Road(
        curvature=sign * chance.choice([0.0, 1e-320, 1e-9, 2e-6, 0.01, 0.1]),
        lanes=lanes,
        oncoming=chance.choice([0, 1, 8]),
        lane=chance.choice([1, lanes]),
        side=chance.choice(["left", "right"]),
        width=chance.choice([None, 2.0, 8.0]),
        offset=chance.choice([None, -4.0, 4.0]),
        beside=chance.choice(["trees", "houses", "buildings", "nothing"]),
        cars=chance.choice([0, 1, 24]),
        horizon=chance.choice([None, 0.05, 0.95]),
        height=chance.choice([None, 0.3, 5.0]),
        fov=chance.choice([None, 12.0, 143.0]),
    )


def test_strange_words_are_a_road_or_refused(photo):
    read = longest = 0
    for number in range(10 * CASES):
        chance = random.Random(number)
        speed = chance.choice(["", "&speed_mps=" + chance.choice(PARTS), "&x=1", "&", "?", "&road=straight"])
        path = f"{photo}?road={words(chance)}{speed}"
        try:
            assert len(open_scenes(path)) == 1
            plain, said = without_words(path)
            assert without_words(with_words(plain, words(chance), said.speed_mps))[0] == plain
        except LongDWMError as error:
            longest = max(longest, len(str(error)))
            continue
        read += 1
    assert read
    assert 0 < longest < 1500


def test_strange_values_are_a_road_or_refused(photo):
    made, odd = 0, [*NUMBERS, *WORDS, Hostile(), np.float32(0.01), np.array([1, 2]), 1j, b"x", object()]
    for number in range(10 * CASES):
        chance = random.Random(number)
        values = {chance.choice(NAMES): chance.choice([*odd, anything(chance)]) for _ in range(chance.randrange(1, 4))}
        try:
            road = Road(**values)
        except InvalidConfig:
            continue
        made += 1
        assert open_scenes(photo, road=road).scene(0).road_map is not None
    assert made
    for value in odd:
        for keyword in ("road", "speed_mps"):
            with suppress(LongDWMError):
                open_scenes(photo, **{keyword: value}).scene(0)


@pytest.mark.filterwarnings("ignore")
def test_bold_roads_through_odd_pictures_are_driven(tmp_path):
    """Pictures of any shape: the road is drawn, stands where the car is, and what is seen has finite places."""
    path = tmp_path / "photo.png"
    for number in range(CASES):
        chance = random.Random(number)
        size = chance.choice(SIDES_PX), chance.choice(SIDES_PX)
        noise = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        save_picture(path, chance.choice([noise, np.full_like(noise, 255), noise // 8 * (noise > 200)]))
        road, speed = bold(chance), chance.choice([0.0, 8.0, 70.0])
        try:
            env = LongDWMEnv(
                "warp", open_scenes(path, road=road, speed_mps=speed), image_size=(16, 24), obs_mode="frame",
                control_period_s=1 / 12,
            )  # fmt: skip
            env.reset(seed=0)
            frame, reward, *_ = env.step(AHEAD)
        except InvalidScene as error:
            str(error).index("photo.png")
            continue
        assert (frame.shape, np.isfinite(reward)) == ((16, 24, 3), True)
        strip = env.scene.road_map
        (along, left) = strip.along(np.zeros((1, 2)))
        assert np.abs([along[0], left[0] - strip.offset_m]).max() < 1e-3
        layout, layer = strip.layout(np.zeros(2), 150.0), strip.scenery(np.zeros(2), 150.0)
        assert np.isfinite(layout.corners_m).all()
        assert layer is None or np.isfinite(layer.positions_m).all()


def test_a_picture_of_one_column_is_not_made_a_thousand_times_as_large(photo, monkeypatch):
    """It was enlarged to 480 x 768,000 pixels to look for a horizon."""
    tall = np.zeros((1600, 1, 3), np.uint8)
    monkeypatch.setattr("longdwm_env.scenes.vanishing.cv2.resize", lambda *args, **kwargs: pytest.fail("enlarged"))
    assert vanishing_point(tall) is None
    assert MOST_UPRIGHT * 288 < 1600


def test_a_road_that_hardly_bends_is_straight(photo):
    """Rounding took its lanes away: at 1e-300 every place was on its middle."""
    road = open_scenes(photo, road="1e-300,offset=0").scene(0).road_map
    assert road.curvature_per_m == 0
    assert road.along(np.array([[5.0, 2.0]]))[1].tolist() == [2.0]
    assert replace(road, lanes=2).edges_m[1] > road.edges_m[0]
