import numpy as np
import pytest
from PIL import Image

from longdwm_env.evaluation.media.pages import GAP_PX, Panel, board
from longdwm_env.evaluation.media.webp import write_animation, write_picture

COLOURS = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)


def plain(colour):
    return np.broadcast_to(colour, (24, 36, 3))


@pytest.mark.parametrize("width", [36, 90])
def test_every_frame_is_in_its_place_on_transparent_ground(width):
    picture = board([[Panel(plain(colour)) for colour in COLOURS], [Panel(plain(COLOURS[0]))] * 3], width)
    height = width * 24 // 36
    assert picture.shape == (2 * height + GAP_PX, 3 * width + 2 * GAP_PX, 4)
    for column, colour in enumerate(COLOURS):
        middle = picture[height // 2, column * (width + GAP_PX) + width // 2]
        assert middle.tolist() == [*colour, 255]
    assert not picture[height : height + GAP_PX, :, 3].any()
    assert not picture[:, width : width + GAP_PX, 3].any()
    assert picture[0, 0, 3] == 0  # the corners are round


def test_labels_are_written_on_the_frame_and_nowhere_else():
    bare, labelled = (board([[Panel(plain(COLOURS[0]), label)]], 144).astype(int) for label in ("", "left"))
    changed = (bare != labelled).any(axis=2)
    assert changed[:40, :60].any()
    assert not changed[48:].any()
    assert np.array_equal(bare[..., 3], labelled[..., 3])


def test_a_label_larger_than_its_frame_is_cut_off():
    assert board([[Panel(plain(COLOURS[0]), "a long label", "and a caption")]], 36).shape == (24, 36, 4)


def test_a_film_lasts_as_long_as_what_it_shows(tmp_path):
    pictures = [np.full((16, 24, 4), (index * 15, 90, 30, 255), np.uint8) for index in range(13)]
    write_animation(tmp_path / "film.webp", pictures, quality=80, first_s=0.5, last_s=1.0)
    with Image.open(tmp_path / "film.webp") as film:
        assert film.n_frames == 13
        assert film.info["loop"] == 0
        lasted = []
        for index in range(13):
            film.seek(index)
            film.load()
            lasted.append(film.info["duration"])
    assert abs(sum(lasted) - (13 / 12 + 1.5) * 1000) <= 1
    assert min(lasted) >= 83
    assert lasted[0] > 500
    assert lasted[-1] > 1000


def test_a_picture_keeps_its_transparent_ground(tmp_path):
    picture = board([[Panel(plain(COLOURS[1]))] * 2], 72)
    write_picture(tmp_path / "x.webp", picture, quality=80)
    with Image.open(tmp_path / "x.webp") as read:
        pixels = np.asarray(read.convert("RGBA"))
    assert np.array_equal(pixels[..., 3], picture[..., 3])
    assert np.abs(pixels[20, 30, :3].astype(int) - COLOURS[1]).max() < 12
