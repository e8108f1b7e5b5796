"""Parts of a picture that move by themselves: taken from where they are, put where they will be."""

import numpy as np
import pytest

from longdwm_env.geometry.moved import paste_boxes, without_boxes

SIZE = (96, 144)
GREY, RED, BLUE = 120, (200, 20, 20), (20, 20, 200)


def box(left, top, right, bottom, depth=20.0):
    return np.array([left, top, right, bottom, depth], float)


def street(*cars):
    """Grey, with (box, colour) painted on."""
    picture = np.full((*SIZE, 3), GREY, np.uint8)
    for (left, top, right, bottom, _), colour in cars:
        picture[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = colour
    return picture


CAR = box(60, 40, 80, 54)
ALL = np.array([True])


def test_a_street_without_its_car_is_empty():
    picture = street((CAR, RED))
    assert np.abs(without_boxes(picture, CAR[None], ALL).astype(int) - GREY).max() < 8
    assert without_boxes(picture, CAR[None], ~ALL) is picture
    assert (picture == street((CAR, RED))).all(), "the picture itself stays as it is"


@pytest.mark.parametrize(
    "later",
    [box(70, 44, 110, 72), box(30, 38, 40, 45), box(60.4, 40.3, 80.4, 54.3)],
    ids=["nearer and right", "farther and left", "less than a pixel"],
)
def test_a_car_is_put_where_it_will_be_and_as_large(later):
    views = street()[None].repeat(2, axis=0)
    paste_boxes(views, street((CAR, RED)), CAR[None], later[None], ALL)
    assert (views[0] == views[1]).all()
    red = np.abs(views[0].astype(int) - RED).max(axis=2) < 40
    rows, columns = np.nonzero(red)
    assert abs(columns.min() - later[0]) <= 1.5
    assert abs(columns.max() - later[2]) <= 1.5
    assert abs(rows.min() - later[1]) <= 1.5
    assert abs(rows.max() - later[3]) <= 1.5
    outside = np.ones(SIZE, bool)
    outside[int(later[1]) - 4 : int(later[3]) + 7, int(later[0]) - 5 : int(later[2]) + 6] = False
    assert (views[0][outside] == GREY).all()


def test_the_nearer_car_covers_the_farther_one():
    near, far = box(20, 40, 40, 54, 10.0), box(90, 40, 110, 54, 30.0)
    picture = street((near, RED), (far, BLUE))
    meeting = np.stack([box(60, 40, 80, 54, 10.0), box(60, 40, 80, 54, 30.0)])
    for order in ([0, 1], [1, 0]):
        views = street()[None].copy()
        paste_boxes(views, picture, np.stack([near, far])[order], meeting[order], np.array([True, True]))
        assert np.abs(views[0, 47, 70].astype(int) - RED).max() < 10


@pytest.mark.parametrize("later", [np.full(5, np.nan), box(150, 40, 170, 54)], ids=["gone", "beside the picture"])
def test_who_leaves_the_picture_is_not_put_anywhere(later):
    views = street()[None].copy()
    paste_boxes(views, street((CAR, RED)), CAR[None], later[None], ALL)
    assert (views == GREY).all()
