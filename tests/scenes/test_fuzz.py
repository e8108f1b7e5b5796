"""Damaged input of every kind raises ``InvalidScene`` or is read; nothing else, and nothing hangs.

``LONGDWM_FUZZ_CASES=20000`` in the environment tries as many of each (CONTRIBUTING.md).
"""

import io
import json
import os
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from longdwm_env.errors import InvalidScene
from longdwm_env.scenes import open_scenes
from longdwm_env.scenes.media.image_file import decode_image
from longdwm_env.scenes.nuscenes.check import check_data
from longdwm_env.scenes.nuscenes.export import export_nuscenes
from longdwm_env.scenes.nuscenes.schema_tables import TABLES
from longdwm_env.types import Camera, Intrinsics

from .conftest import fake_clip, write_video
from .expansion import LOCATION, straight_expansion

VERSION = "v1.0-simulator"
SMALL = Camera(Intrinsics.from_fov(1.0, (24, 36)))
CASES = int(os.environ.get("LONGDWM_FUZZ_CASES", "40"))
fuzz = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8)


def damaged(data: bytes, keep: float, changes: list[tuple[float, int]]) -> bytes:
    cut = bytearray(data[: max(1, int(keep * len(data)))])
    for place, value in changes:
        cut[int(place * len(cut))] = value
    return bytes(cut)


@contextmanager
def failing_only_as(name: str):
    """Let ``InvalidScene`` pass if it names what is wrong."""
    try:
        yield
    except InvalidScene as error:
        if name not in str(error):
            raise AssertionError(f"{name} is not named by: {error}") from error


def read_everything(path: Path) -> None:
    """Open a path and look at the first and last scene; ``InvalidScene`` is how it may fail."""
    with failing_only_as(path.name):
        source = open_scenes(path)
        for index in {0, len(source) - 1}:
            scene = source.scene(index)
            images = scene.log.images(-2, 3 + min(scene.log.num_future, 3), SMALL)
            assert images.shape[1:] == (24, 36, 3)
            assert images.dtype == np.uint8
            assert np.isfinite(scene.start.pose).all()


def encoded_pictures() -> list[bytes]:
    image = np.random.default_rng(0).integers(0, 255, (24, 36, 3), np.uint8)
    plain = [cv2.imencode(suffix, image)[1].tobytes() for suffix in (".jpg", ".png", ".webp", ".bmp", ".tif", ".ppm")]
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind, mode, notes in (
        ("AVIF", "RGB", {"exif": exif}),
        ("WEBP", "RGB", {"exif": exif, "icc_profile": profile}),
        ("JPEG", "CMYK", {"exif": exif}),
        ("TIFF", "LAB", {}),
        ("PNG", "P", {"exif": exif, "icc_profile": profile}),
    ):
        whole = io.BytesIO()
        picture = Image.fromarray(image, mode) if mode == "LAB" else Image.fromarray(image).convert(mode)
        picture.save(whole, kind, **notes)
        plain.append(whole.getvalue())
    return plain


PICTURES = encoded_pictures()


@fuzz
@given(st.sampled_from(PICTURES), st.floats(0.01, 1), edits)
def test_damaged_pictures(data, keep, changes):
    with failing_only_as("picture"):
        assert decode_image(damaged(data, keep, changes), "picture").dtype == np.uint8


@pytest.fixture(scope="module")
def encoded_videos(tmp_path_factory):
    videos = []
    kinds = ((".mp4", "mpeg4"), (".avi", "mpeg4"), (".mkv", "mpeg4"), (".ts", "mpeg4"), (".mp4", "libx264"))
    for suffix, codec in kinds:
        path = tmp_path_factory.mktemp("videos") / f"drive{suffix}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=24)
            stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
            if codec == "libx264":
                # High dynamic range, pixels that are not square and frames out of order are further ways through.
                context = stream.codec_context
                context.color_trc, context.color_primaries, context.sample_aspect_ratio = 16, 9, Fraction(4, 3)
                stream.options = {"bf": "3", "g": "12"}
            for frame in range(40):
                image = np.full((32, 48, 3), 5 * frame, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
        videos.append((path.name, path.read_bytes()))
    return videos


@fuzz
@given(st.integers(0, 4), st.floats(0.05, 1), edits, st.integers(0, 19))
def test_damaged_videos(encoded_videos, tmp_path, which, keep, changes, motion):
    name, data = encoded_videos[which]
    path = tmp_path / name
    path.write_bytes(damaged(data, keep, changes))
    # Motion is looked for in one of twenty: it takes most of the time, and sees whole pictures only.
    (tmp_path / "camera.json").write_text(json.dumps({"speed_mps": 5.0} if motion else {}))
    read_everything(path)


@fuzz
@given(st.text(max_size=60) | st.recursive(st.none() | st.floats() | st.text(), st.lists, max_leaves=5).map(json.dumps))
def test_random_camera_files(photo, text):
    (photo.parent / "camera.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    with failing_only_as("camera.json"):
        open_scenes(photo)


@pytest.fixture(scope="module")
def own_dataset(tmp_path_factory):
    """Two scenes as short as scenes may be: every picture is read again in every case."""
    made = tmp_path_factory.mktemp("fuzz") / "dataset"
    export_nuscenes([fake_clip(7, num_frames=31), fake_clip(8, num_frames=25)], made)
    for captions in made.rglob("captions.json"):
        # The fixture's scenes have other names than those.
        captions.unlink()
    return made


KEYS = ("poses", "confidence", "speeds_mps", "yaw_rates_radps", "cuts_s", "times_s")
numbers = st.floats() | st.integers() | st.none() | st.just(10**400)
anything = numbers | st.text(max_size=5) | st.lists(numbers | st.lists(numbers, max_size=3), max_size=4)


@pytest.fixture(scope="module")
def posed_video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("posed") / "posed.mp4", num_frames=24)


@fuzz
@given(st.text(max_size=60) | st.dictionaries(st.sampled_from(KEYS), anything, max_size=6).map(json.dumps))
def test_random_poses_files(posed_video, text):
    """Beside a video: what it says is used, or the file is named; and the check says the same."""
    video = posed_video
    poses = video.with_name("posed.poses.json")
    poses.write_text(text, encoding="utf-8", errors="surrogatepass")
    with failing_only_as("posed.poses.json"):
        open_scenes(video)
        assert not check_data(video).problems


@settings(fuzz, max_examples=max(24, CASES // 4))
@given(st.data())
def test_odd_values_in_expansions_and_can_messages(own_dataset, data):
    """Anywhere in such a file, down to a number or a token: the file is named, or what it says is used."""
    pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    logs, scenes = (own_dataset / VERSION / f"{name}.json" for name in ("log", "scene"))
    before = logs.read_bytes(), scenes.read_bytes()
    named = [{**scene, "name": f"scene-{place:04d}"} for place, scene in enumerate(json.loads(before[1]))]
    logs.write_text(json.dumps([{**log, "location": LOCATION} for log in json.loads(before[0])]))
    scenes.write_text(json.dumps(named))
    message = {"utime": 0, "vel": [9.0, 0, 0], "accel": [0.5, 0, 9.8], "rotation_rate": [0, 0, 0.2]}
    expansion = own_dataset / "maps" / "expansion" / f"{LOCATION}.json"
    can_bus = own_dataset / "can_bus" / "scene-0000_pose.json"
    files = {expansion: straight_expansion(10.0, 10.0, 0.3), can_bus: [message] * 3}
    damaged_one = data.draw(st.sampled_from(sorted(files)))
    try:
        for path, whole in files.items():
            path.parent.mkdir(exist_ok=True)
            changed = with_an_odd_value(json.loads(json.dumps(whole)), data) if path == damaged_one else whole
            path.write_text(json.dumps(changed))
        with failing_only_as(damaged_one.name):
            open_scenes(own_dataset).scene(0)
        check_data(own_dataset)
    finally:
        logs.write_bytes(before[0])
        scenes.write_bytes(before[1])
        for path in files:
            path.unlink()


def with_an_odd_value(value, data):
    """A JSON value with one part of it replaced."""
    if not isinstance(value, (dict, list)) or not value or data.draw(st.booleans()):
        return data.draw(odd_values)
    key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    value[key] = with_an_odd_value(value[key], data)
    return value


tables = st.sampled_from(TABLES)
odd_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.lists(st.floats() | st.none(), max_size=4)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
    | st.just(10**400)
)


def with_table(dataset: Path, table: str, data: bytes, checked: bool) -> None:
    """Read the dataset with one table replaced, and check it, which takes the longest; then put the table back."""
    pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    path = dataset / VERSION / f"{table}.json"
    original = path.read_bytes()
    try:
        path.write_bytes(data)
        read_everything(dataset)
        if checked:
            check_data(dataset)
    finally:
        path.write_bytes(original)


@settings(fuzz, max_examples=max(24, CASES // 2))
@given(tables, st.floats(0, 1), edits)
def test_damaged_tables(own_dataset, table, keep, changes):
    data = (own_dataset / VERSION / f"{table}.json").read_bytes()
    with_table(own_dataset, table, damaged(data, keep if keep < 0.5 else 1.0, changes), changes[0][1] % 4 == 0)


@settings(fuzz, max_examples=max(40, CASES // 2))
@given(tables, st.data())
def test_odd_values_in_tables(own_dataset, table, data):
    records = json.loads((own_dataset / VERSION / f"{table}.json").read_bytes())
    field = data.draw(st.sampled_from(sorted(records[0])))
    rows = data.draw(st.sampled_from(["one", "all"]))
    value = data.draw(odd_values)
    row = data.draw(st.integers(0, len(records) - 1))
    for record in records if rows == "all" else [records[row]]:
        record[field] = value
    with_table(own_dataset, table, json.dumps(records).encode(), row % 4 == 0)
