"""Folders of shards: what was written comes back, what changed or broke is noticed."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from longdwm_env.errors import InvalidConfig
from longdwm_env.training.data.shards import ShardFolder


def filled(folder: Path, shards: int = 3) -> ShardFolder:
    made = ShardFolder(folder, {"codec": "abc", "size": [4, 6]})
    for shard in range(shards):
        entries = [({"key": f"{shard}-{place}"}, {"x": torch.full((3, 2), 10.0 * shard + place)}) for place in range(2)]
        made.write(shard, entries)
    return made


def test_a_folder_made_from_something_else_is_refused(tmp_path):
    filled(tmp_path / "s")
    with pytest.raises(InvalidConfig, match=r"codec was 'abc' and is now 'xyz'"):
        ShardFolder(tmp_path / "s", {"codec": "xyz", "size": [4, 6]})
    with pytest.raises(InvalidConfig, match="size"):
        ShardFolder(tmp_path / "s", {"codec": "abc", "size": [4, 8]})


def test_the_same_shard_has_the_same_bytes(tmp_path):
    made = filled(tmp_path / "s", shards=1)
    written = set()
    for _ in range(8):
        made.write(0, [({"key": "a"}, {"x": torch.zeros(2)})], made_of=3)
        written.add(made.path(0).read_bytes())
    assert len(written) == 1
    assert made.holds(0) == 3


def test_shards_of_an_earlier_version_are_read(tmp_path):
    """They kept the facts of their entries alone."""
    made = filled(tmp_path / "s", shards=1)
    save_file({"0/x": torch.ones(2)}, made.path(0), metadata={"entries": '[{"key": "old"}]'})
    (entry,) = made.entries()
    assert (entry.facts, made.holds(0)) == ({"key": "old"}, 1)
    assert torch.equal(made.tensor(entry, "x"), torch.ones(2))
