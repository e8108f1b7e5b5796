"""Pictures as cameras, telephones and programs write them: upright, in the right colours, whole or refused by name."""

import io
import re
import struct
import warnings
import zlib

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image, ImageCms

from longdwm_env.cli.data.data_sets import check
from longdwm_env.errors import InvalidScene
from longdwm_env.scenes import open_scenes
from longdwm_env.scenes.media.image_file import decode_image, read_image

from .corners import COLOURS, corners


def four() -> Image.Image:
    """60 x 40: upper left red, upper right green, lower left blue, lower right white."""
    image = Image.new("RGB", (60, 40), "white")
    for corner, box in (("r", (0, 0, 30, 20)), ("g", (30, 0, 60, 20)), ("b", (0, 20, 30, 40))):
        image.paste(COLOURS[corner], box)
    return image


UPRIGHT = ("rgbw", "grwb", "wbgr", "bwrg", "rbgw", "brwg", "wgbr", "gwrb")
"""What the eight orientations of EXIF make of the picture."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_orientation_in_every_format_that_carries_it(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    four().save(path, exif=exif)
    image = read_image(path)
    assert corners(image) == UPRIGHT[orientation - 1]
    assert image.shape[:2] == ((40, 60) if orientation < 5 else (60, 40))


@pytest.mark.parametrize("suffix", ["webp", "avif"])
def test_environments_and_the_check_see_it_upright_too(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    four().save(tmp_path / f"turned.{suffix}", exif=exif)
    assert check(tmp_path) == 0
    environment = gym.make("LongDWM-v0", world="warp", scenes=str(tmp_path), image_size=(48, 32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        observation, _ = environment.reset(seed=0)
    environment.close()
    assert corners(observation["frames"][-1]) == "brwg"


class TestColours:
    def test_cmyk(self, tmp_path):
        """Of JPEG as Photoshop writes it, inverted with Adobe's mark, and of TIFF."""
        for name in ("print.jpg", "print.tif"):
            four().convert("CMYK").save(tmp_path / name)
            assert corners(read_image(tmp_path / name)) == "rgbw", name

    @pytest.mark.parametrize("colour", [(200, 30, 30), (20, 120, 220), (128, 128, 128), (255, 255, 255), (0, 0, 0)])
    def test_cielab(self, tmp_path, colour):
        lab = ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(
            Image.new("RGB", (8, 8), colour), ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
        )
        image.save(tmp_path / "lab.tif")
        # Eight bits a channel of CIELAB are up to five of sRGB.
        assert np.abs(read_image(tmp_path / "lab.tif").astype(int) - colour).max() <= 6

    def test_an_embedded_profile_is_followed(self, tmp_path):
        """A profile whose red is sRGB's blue, and the other way round."""
        given = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        given = bytes(given.replace(b"rXYZ", b"tttt", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"tttt", b"bXYZ", 1))
        four().save(tmp_path / "profiled.png", icc_profile=given)
        assert corners(read_image(tmp_path / "profiled.png")) == "bgrw"

    @pytest.mark.parametrize("profile", [b"", b"x", b"\0" * 200, b"acsp" * 64])
    def test_a_broken_profile_is_passed_over(self, tmp_path, profile):
        four().save(tmp_path / "profiled.png", icc_profile=profile)
        assert corners(read_image(tmp_path / "profiled.png")) == "rgbw"

    @pytest.mark.parametrize("mode", ["I", "F"])
    def test_values_without_a_scale_are_refused(self, tmp_path, mode):
        Image.new(mode, (8, 8), 3).save(tmp_path / "depth.tif")
        with pytest.raises(InvalidScene, match=r"depth\.tif has 32-bit values"):
            read_image(tmp_path / "depth.tif")

    def test_the_first_frame_of_an_animation(self, tmp_path):
        other = Image.new("RGB", (60, 40), "black")
        for suffix in ("webp", "png", "avif"):
            path = tmp_path / f"moving.{suffix}"
            four().save(path, save_all=True, append_images=[other], duration=100)
            assert corners(read_image(path)) == "rgbw", suffix


def boxed(brand: bytes, *others: bytes) -> bytes:
    """The beginning of a file of boxes, with a grid of two tiles, as telephones store photographs."""
    brands = b"".join((brand, bytes(4), *others))
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + struct.pack(">I", 8) + b"meta" + b"grid" + bytes(200)


HEIC = {
    "grid.heic": boxed(b"heic", b"mif1", b"heic"),
    "renamed.jpg": boxed(b"heic", b"mif1"),
    "renamed.mp4": boxed(b"heix", b"mif1"),
    "burst.heif": boxed(b"msf1", b"heic", b"hevc"),
    "general.heic": boxed(b"mif1", b"mif1", b"heic"),
    "without-suffix": boxed(b"heic", b"mif1"),
}


@pytest.mark.parametrize("name", HEIC)
def test_heic_is_refused_and_never_taken_for_a_video(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(HEIC[name])
    with pytest.raises(InvalidScene, match=rf"{name} is a (HEIC )?picture"):
        open_scenes(path)
    assert check(path) == 1


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("page.jpg", b"<!DOCTYPE html><html>404</html>", "a web page"),
        ("drawing.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a web page or drawing"),
        ("old.jp2", b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(80), "JPEG 2000"),
        ("old.png", b"\xff\x4f\xff\x51" + bytes(80), "JPEG 2000"),
        ("print.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image that can be read"),
        ("moving.png", b"GIF89a" + bytes(80), "no image that can be read"),
        ("empty.png", b"", "is empty"),
    ],
)
def test_messages_name_the_file_and_never_an_address(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidScene, match=said) as caught:
        open_scenes(tmp_path / name)
    assert name in str(caught.value)
    assert not re.search(r"0x[0-9a-f]{6,}|object at", str(caught.value))


@pytest.mark.parametrize("suffix", ["webp", "avif", "tif", "png", "jpg"])
def test_what_is_cut_short_is_named_without_an_address(tmp_path, suffix):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)).save(path)
    data = path.read_bytes()
    for keep in range(1, 20):
        path.write_bytes(data[: len(data) * keep // 20])
        with pytest.raises(InvalidScene, match=rf"cut\.{suffix}") as caught:
            read_image(path)
        assert "object at" not in str(caught.value)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


class TestWhatWouldTakeMemory:
    """Refused by what a header says, before pixels are unpacked."""

    def test_sides_and_areas(self):
        for width, height in ((2**31 - 1, 2**31 - 1), (1, 10**6), (10**6, 1), (9000, 9000), (0, 0), (2**32 - 1, 1)):
            with pytest.raises(InvalidScene, match=r"^huge"):
                decode_image(png(width, height, chunk(b"IDAT", zlib.compress(bytes(100)))), "huge")

    def test_of_every_format(self, tmp_path):
        canvas = (16_000 - 1).to_bytes(3, "little") * 2
        webp = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas
        bmp = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
        ppm = b"P6 60000 60000 255\n" + bytes(30)
        for name, data in (("webp", webp), ("bmp", bmp), ("ppm", ppm)):
            with pytest.raises(InvalidScene, match="pixels; at most"):
                decode_image(data + bytes(64), name)

    def test_notes_that_unpack_to_very_much(self):
        """60 kB that become 60 MB of text, twenty times."""
        note = chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(60_000_000), 9))
        whole = io.BytesIO()
        four().save(whole, "png")
        data = whole.getvalue()
        with pytest.raises(InvalidScene, match="damaged"):
            decode_image(data[:33] + 20 * note + data[33:], "noted")
