import numpy as np
from PIL import Image

from longdwm_env.evaluation.media.pages import Panel, board
from longdwm_env.evaluation.media.webp import write_animation, write_picture

COLOURS = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)


def plain(colour):
    return np.broadcast_to(colour, (24, 36, 3))


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
