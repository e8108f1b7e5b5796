"""A street carried on from one picture."""

import cv2
import numpy as np
import pytest

from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.street_view import StreetView

SIZE = (96, 144)
CAMERA = assumed_camera(SIZE)


@pytest.fixture(scope="module")
def picture():
    """A blue sky, brown walls of uneven texture on both sides, a grey road with a bright line; dark bonnet below."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    horizon = int(CAMERA.intrinsics.cy_px)
    aside = np.abs(columns - CAMERA.intrinsics.cx_px)
    image = np.empty((*SIZE, 3), np.float64)
    image[:] = (150, 190, 230)
    wall = (rows > horizon - 0.5 * aside) & (rows < horizon + 0.3 * aside)
    image[wall] = (120, 90, 60)
    road = (rows > horizon) & ~wall
    image[road] = (100, 100, 105)
    image[wall | road] += rng.normal(0, 20, (int((wall | road).sum()), 1))
    image[90:] = (20, 20, 25)
    return image.clip(0, 255).astype(np.uint8)


def drive(picture, metres, heading=0.0, bend=0.0):
    way = np.atleast_1d(np.asarray(metres, np.float64))
    poses = np.column_stack([way, np.zeros_like(way), np.full_like(way, heading)])
    return StreetView(picture, CAMERA).along(poses, way, np.full_like(way, bend))


def test_at_its_place_the_picture_is_what_was_seen(picture):
    (frame,) = drive(picture, 0.0)
    assert np.abs(frame.astype(int) - picture).mean() < 4


def test_what_was_seen_comes_closer_by_the_ground(picture):
    """A patch on the road 20 m ahead is where projection says once the car has come 4 m nearer."""
    marked = picture.copy()
    ego = CAMERA.mounting.ego_from_camera

    def row(ahead_m):
        depth = ahead_m - ego[0, 3]
        return CAMERA.intrinsics.cy_px + CAMERA.intrinsics.fy_px * ego[2, 3] / depth

    middle = round(CAMERA.intrinsics.cx_px)
    marked[round(row(22)) : round(row(16)) + 1, middle - 4 : middle + 5] = 255
    (before,), (after,) = drive(picture, 4.0), drive(marked, 4.0)
    bright = np.argwhere(np.abs(after.astype(int) - before).sum(axis=2) > 120)
    assert row(18) - 2 < bright[:, 0].mean() < row(12) + 2
    assert bright[:, 0].mean() > row(18) + 0.5 * (row(12) - row(18)) - 2


@pytest.mark.parametrize(("heading", "bend"), [(0.0, 0.0), (1.2, 0.02), (-2.5, -0.05)])
def test_road_walls_and_sky_remain_however_far(picture, heading, bend):
    frames = drive(picture, [40.0, 160.0, 2000.0], heading, bend).astype(float)
    for frame in frames:
        assert np.abs(frame[:10, 40:100].mean(axis=(0, 1)) - (150, 190, 230)).max() < 30
        assert np.abs(frame[62:88, 60:84].mean(axis=(0, 1)) - (100, 100, 105)).max() < 15
        assert np.abs(frame[46:54, 2:12].mean(axis=(0, 1)) - (120, 90, 60)).max() < 25
    # The texture is still there: no blur, no noise beyond the picture's own.
    own, kept = (np.abs(np.diff(part.astype(float), axis=-2)).mean() for part in (picture[62:88], frames[-1][62:88]))
    assert 0.4 * own < kept < 1.6 * own


def test_the_street_moves_while_the_car_does_and_stands_when_it_stands(picture):
    frames = drive(picture, [100.0, 100.0, 100.7]).astype(int)
    assert (frames[0] == frames[1]).all()
    assert np.abs(frames[2] - frames[1])[62:88].mean() > 3


def test_no_seam_comes_by(picture):
    """Nowhere along the way does the picture jump: stretches are laid end to end, every second one mirrored."""
    frames = drive(picture, 60 + 0.25 * np.arange(80)).astype(int)
    steps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert steps.max() < 2.5 * np.median(steps)


def test_a_bonnet_is_not_laid_along_the_street(picture):
    (frame,) = drive(picture, 60.0)
    assert frame[60:].mean(axis=(1, 2)).min() > 70


def test_a_bent_street_leads_aside(picture):
    """To the left above 0: the wall on the right then stands before the middle of the horizon."""
    marked = picture.copy()
    marked[:, 110:][marked[:, 110:, 0] > marked[:, 110:, 2]] = (250, 20, 20)
    left, right = (drive(marked, 60.0, bend=bend)[0].astype(int) for bend in (0.03, -0.03))
    redness = [(frame[40:54, 56:88, 0] - frame[40:54, 56:88, 1]).mean() for frame in (left, right)]
    assert redness[0] > redness[1] + 20


def test_clouds_stand_in_the_sky(picture):
    """White clouds with hard edges on a deep blue sky are not laid along the street with the walls."""
    rng = np.random.default_rng(1)
    cloudy = picture.copy()
    sky = (picture == (150, 190, 230)).all(axis=2)
    cloudy[sky] = (20, 70, 140)
    for x, y in rng.integers((15, 4), (129, 20), (9, 2)):
        cv2.ellipse(cloudy, (int(x), int(y)), (7, 3), 0, 0, 360, (230, 230, 235), -1)
    (frame,) = drive(cloudy, 60.0)
    seen = sky & (np.arange(SIZE[0])[:, None] < 20)
    seen[:, :35] = seen[:, -35:] = False
    assert np.abs(frame.astype(int) - cloudy)[seen].mean() < 15


def test_a_wood_is_no_curtain(picture):
    """Where no sky is seen, what stands beside the road goes on above the picture with its texture, not as stripes."""
    rng = np.random.default_rng(2)
    horizon = int(CAMERA.intrinsics.cy_px)
    wood = picture.copy()
    leaves = np.kron(rng.integers(-60, 60, (SIZE[0] // 3, SIZE[1] // 3)), np.ones((3, 3)))
    wood[:horizon] = (70, 90, 60) + leaves[:horizon, :, None]
    frames = [drive(wood, 80.0, bend=bend)[0][:20].astype(float).mean(axis=2) for bend in (0.0, 0.01)]
    for high in (frames[0][:, 45:62], frames[1][:, 50:80]):
        down, across = (np.abs(np.diff(high, axis=axis)).mean() for axis in (0, 1))
        assert down > 0.4 * across
        assert high.mean() == pytest.approx(73, abs=6)


def test_the_far_end_is_no_box(picture):
    """A hill that stands before the sky at the far end fades into what stands beside it."""
    horizon, middle = int(CAMERA.intrinsics.cy_px), round(CAMERA.intrinsics.cx_px)
    hill = picture.copy()
    hill[10:horizon, middle - 30 : middle + 30] = (60, 80, 40)
    (frame,) = drive(hill, 80.0)
    lightness = frame[18:24].astype(float).mean(axis=(0, 2))
    assert lightness[middle] < 75
    assert np.abs(np.diff(lightness)).max() < 45
