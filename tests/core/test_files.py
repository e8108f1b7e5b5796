import json

import pytest

from longdwm_env.files import atomic_path, atomic_write_bytes, atomic_write_json


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
