import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import (
    atomic_path,
    atomic_write_bytes,
    atomic_write_json,
    check_output_file,
    check_output_folder,
    one_writer,
)


def test_a_failed_write_leaves_the_old_file_and_no_trace(tmp_path):
    target = tmp_path / "result.json"
    atomic_write_json(target, {"a": 1})

    def write_half():
        with atomic_path(target) as temporary:
            temporary.write_text('{"a": ')
            raise RuntimeError("the power goes")

    with pytest.raises(RuntimeError):
        write_half()
    assert json.loads(target.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [target]


def test_nan_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        atomic_write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_folders_are_made_and_others_may_read(tmp_path):
    atomic_write_bytes(tmp_path / "a" / "b" / "c.bin", b"123")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"123"
    assert (tmp_path / "a" / "b" / "c.bin").stat().st_mode & 0o044


def test_a_folder_that_can_be_made_passes_and_is_not_made(tmp_path):
    check_output_folder(tmp_path)
    check_output_folder(tmp_path / "a" / "b")
    check_output_file(tmp_path / "a" / "video.mp4")
    (tmp_path / "old.mp4").touch()
    check_output_file(tmp_path / "old.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["old.mp4"]


def test_relative_names_are_those_of_the_present_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_output_folder(Path("runs/mini"))
    check_output_file("video.mp4")


def test_another_kind_of_thing_in_the_way_is_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(InvalidConfig, match=r"file is a file; name another"):
            check_output_folder(path)
    with pytest.raises(InvalidConfig, match="is a link that leads nowhere"):
        check_output_folder(tmp_path / "link")
    with pytest.raises(InvalidConfig, match="it is a folder"):
        check_output_file(tmp_path / "folder")
    with pytest.raises(InvalidConfig, match="it is a device"):
        check_output_file(os.devnull)
    with pytest.raises(InvalidConfig, match="file is a file"):
        check_output_file(tmp_path / "file" / "video.mp4")


@pytest.mark.parametrize("name", ["x" * 300, "/proc/longdwm/out", "/dev/full/out"])
def test_what_cannot_be_written_says_why(name):
    for check in (check_output_folder, check_output_file):
        with pytest.raises(InvalidConfig, match=r"cannot (write|be a folder).*name another"):
            check(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InvalidConfig, match="Permission denied"):
        check_output_folder(tmp_path / "runs")


def test_too_little_room_is_refused(tmp_path):
    with pytest.raises(InvalidConfig, match=r"MB are free, and at least 1,000,000,000,000 MB are needed"):
        check_output_folder(tmp_path / "runs", least_free_mb=1e12)


HOLDING = """
import sys, time
from longdwm_env.io.files import one_writer
with one_writer(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holding(tmp_path):
    """A process that writes to a folder, and does not stop."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_whoever_waits_says_for_whom_and_comes_next(tmp_path, holding, caplog):
    threading.Timer(1.0, holding.kill).start()
    with one_writer(tmp_path / "run", wait=True):
        assert holding.wait() == -signal.SIGKILL
    assert f"waiting for process {holding.pid}" in caplog.text
