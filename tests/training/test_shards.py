"""Folders of shards: what was written comes back, what changed or broke is noticed."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from longdwm_env.errors import InvalidConfig
from longdwm_env.training.data.clip import TooManyBadClips
from longdwm_env.training.data.shards import BadLimit, ShardFolder


def filled(folder: Path, shards: int = 3) -> ShardFolder:
    made = ShardFolder(folder, {"codec": "abc", "size": [4, 6]})
    for shard in range(shards):
        entries = [({"key": f"{shard}-{place}"}, {"x": torch.full((3, 2), 10.0 * shard + place)}) for place in range(2)]
        made.write(shard, entries)
    return made


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    again = ShardFolder(tmp_path / "s", {"codec": "abc", "size": [4, 6]})
    entries = again.entries()
    assert [entry.facts["key"] for entry in entries] == ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]
    assert torch.equal(again.tensor(entries[3], "x"), torch.full((3, 2), 11.0))
    assert torch.equal(again.rows(entries[4], "x", slice(1, 3)), torch.full((2, 2), 20.0))
    assert again.rows(entries[5], "x", 0).shape == (2,)


def test_a_folder_made_from_something_else_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    with pytest.raises(InvalidConfig, match=r"codec was 'abc' and is now 'xyz'"):
        ShardFolder(tmp_path / "s", {"codec": "xyz", "size": [4, 6]})
    with pytest.raises(InvalidConfig, match="size"):
        ShardFolder(tmp_path / "s", {"codec": "abc", "size": [4, 8]})


def test_a_damaged_shard_is_skipped_with_a_report(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = filled(tmp_path / "s")
    folder.path(1).write_bytes(b"not a shard")
    entries = folder.entries(BadLimit(0.5))
    assert [entry.facts["key"] for entry in entries] == ["0-0", "0-1", "2-0", "2-1"]
    assert "shard-00001" in caplog.text


def test_too_many_damaged_shards_are_an_error(tmp_path: Path) -> None:
    folder = filled(tmp_path / "s", shards=4)
    for shard in (0, 2):
        folder.path(shard).write_bytes(folder.path(shard).read_bytes()[:30])
    with pytest.raises(TooManyBadClips, match="2 of 4"):
        folder.entries(BadLimit(0.1))


def test_missing_shards_are_those_not_written(tmp_path: Path) -> None:
    folder = filled(tmp_path / "s", shards=2)
    folder.path(0).unlink()
    assert folder.missing(dict.fromkeys(range(4), 2)) == [0, 2, 3]


def test_the_same_shard_has_the_same_bytes(tmp_path: Path) -> None:
    made = filled(tmp_path / "s", shards=1)
    written = set()
    for _ in range(8):
        made.write(0, [({"key": "a"}, {"x": torch.zeros(2)})], made_of=3)
        written.add(made.path(0).read_bytes())
    assert len(written) == 1
    assert made.holds(0) == 3


def test_shards_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    """They kept the facts of their entries alone."""
    made = filled(tmp_path / "s", shards=1)
    save_file({"0/x": torch.ones(2)}, made.path(0), metadata={"entries": '[{"key": "old"}]'})
    (entry,) = made.entries()
    assert (entry.facts, made.holds(0)) == ({"key": "old"}, 1)
    assert torch.equal(made.tensor(entry, "x"), torch.ones(2))
