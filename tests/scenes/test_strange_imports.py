"""Data sets of strangers: what is damaged in them is named, and nothing outside their folder is read.

``LONGDWM_FUZZ_CASES=20000`` in the environment tries as many of each kind (CONTRIBUTING.md).
"""

import json
import os
import random
import struct
from contextlib import suppress

import cv2
import numpy as np
import pytest

from longdwm_env.errors import InvalidScene
from longdwm_env.scenes.datasets import _opened, _reader, import_drives
from longdwm_env.scenes.datasets.imported_drives import ForeignDrive, write_drive

from .test_import import WRITERS

CASES = int(os.environ.get("LONGDWM_FUZZ_CASES", "60"))
TOKENS = (
    "",
    "nan",
    "-inf",
    "1e308",
    "1e-320",
    "9" * 400,
    "-1",
    "0",
    "x",
    "²",
    "\ud800",
    "../x.png",
    "/etc/passwd",
    ",",
)
TOKENS += ('"', "1;2", "2011-09-26", "0001-01-01 00:00:00", "é" * 3000, "\x00", "a" * 200_000, "0.5 0.5", "\n\n")


def one(kind, source):
    """The only drive of a data set, or the only reason that there is none."""
    (found, *_) = _opened(_reader(kind)(source, None))
    return found


def written(kind, folder):
    source = folder / "source"
    source.mkdir()
    WRITERS[kind](source)
    return source


def damaged_text(chance, data):
    text = data.decode()
    for _ in range(chance.randrange(1, 4)):
        between = chance.choice([each for each in " \n," if each in text] or [" "])
        words = text.split(between)
        words[chance.randrange(len(words))] = chance.choice(TOKENS)
        text = between.join(words)
    return text.encode("utf-8", "surrogatepass")


def damaged_bytes(chance, data):
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        # Heads say what follows.
        changed[chance.randrange(min(len(data), chance.choice([128, len(data)])))] = chance.randrange(256)
    return bytes(changed[: chance.randrange(len(changed))] if chance.random() < 0.2 else changed)


def damaged_json(chance, data):
    values = json.loads(data)
    part = values
    while isinstance(part, dict) and part:
        name = chance.choice(list(part))
        if not isinstance(part[name], dict) or chance.random() < 0.3:
            part[name] = chance.choice([None, 3, "x", [], {}, [1], "../{video_key}", "{chunk_index:999999999d}", 1e308])
            break
        part = part[name]
    return json.dumps(values).encode()


DAMAGED = {
    "pictures": (damaged_text, ("drive.csv",)),
    "kitti-raw": (
        damaged_text,
        (
            "2011_09_26/calib_cam_to_cam.txt",
            "2011_09_26/2011_09_26_drive_0001_sync/image_02/timestamps.txt",
            "2011_09_26/2011_09_26_drive_0001_sync/oxts/timestamps.txt",
            "2011_09_26/2011_09_26_drive_0001_sync/oxts/data/0000000001.txt",
        ),
    ),
    "kitti-odometry": (damaged_text, ("sequences/03/times.txt", "sequences/03/calib.txt", "poses/03.txt")),
    "comma2k19": (
        damaged_bytes,
        tuple(
            f"Chunk_1/b0c9d2329ad1606b|2018-07-27--06-03-57/3/global_pose/frame_{name}"
            for name in ("times", "positions", "orientations")
        ),
    ),
    "lerobot": (damaged_json, ("meta/info.json",)),
    "lerobot tables": (damaged_bytes, ("data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet")),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_data_sets(kind, tmp_path):
    """A drive comes of it, with times and poses that can be written, or the reason why not."""
    damage, names = DAMAGED[kind]
    kind = kind.removesuffix(" tables")
    source = written(kind, tmp_path)
    files = {source / name: (source / name).read_bytes() for name in names}
    read = 0
    for number in range(CASES):
        chance = random.Random(number)
        path = chance.choice(list(files))
        path.write_bytes(damage(chance, files[path]))
        found = one(kind, source)
        path.write_bytes(files[path])
        assert isinstance(found, ForeignDrive | InvalidScene)
        str(found).encode("utf-8")
        if isinstance(found, ForeignDrive):
            read += 1
            if read % 20 == 1:
                with suppress(InvalidScene):
                    write_drive(found, tmp_path)
    assert 0 < read < CASES


@pytest.mark.parametrize("name", ["../secret.png", "/secret.png", "frames\\..\\..\\secret.png"])
def test_a_table_names_nothing_outside_its_folder(tmp_path, name):
    source = written("pictures", tmp_path)
    cv2.imwrite(str(tmp_path / "secret.png"), np.zeros((48, 64, 3), np.uint8))
    table = source / "drive.csv"
    table.write_text(table.read_text().replace("frames/0000000003.png", name))
    with pytest.raises(InvalidScene, match=r"outside the dataroot|backslashes"):
        import_drives("pictures", source, tmp_path / "out", None, None)


@pytest.mark.parametrize(
    "template",
    ["../{video_key}.mp4", "/{video_key}.mp4", "{chunk_index:900000000d}.mp4", "{chunk_index.__class__}.mp4"],
)
def test_a_template_of_file_names_is_no_program(tmp_path, template):
    source = written("lerobot", tmp_path)
    info = json.loads((source / "meta" / "info.json").read_text())
    (source / "meta" / "info.json").write_text(json.dumps({**info, "data_path": template}))
    found = one("lerobot", source)
    assert isinstance(found, InvalidScene)
    assert len(str(found)) < 1000
    assert "outside" in str(found) or "FileNotFoundError" in str(found)


def test_a_file_that_says_it_holds_more_than_it_does(tmp_path):
    source = written("comma2k19", tmp_path)
    times = next(source.rglob("frame_times"))
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }".ljust(117) + b"\n"
    times.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(80))
    assert "frame_times cannot be read" in str(one("comma2k19", source))


def test_what_is_left_of_a_drive_that_failed_goes_whatever_it_is_called(tmp_path):
    source = written("pictures", tmp_path)
    table = source / "drive.csv"
    cv2.imwrite(str(source / "small.png"), np.zeros((16, 16, 3), np.uint8))
    (source / "dri[v]e.csv").write_text(table.read_text().replace("frames/0000000030.png", "small.png"))
    report = import_drives("pictures", source, tmp_path / "out", None, None)
    assert (report.drives, len(report.skipped)) == (1, 1)
    assert not [path for path in (tmp_path / "out").iterdir() if "[" in path.name]
