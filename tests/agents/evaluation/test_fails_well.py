"""Full disks, changed files, lost workers: what an evaluation makes of them."""

import errno
import json
import multiprocessing
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation import provenance
from longdwm_env.evaluation.policies import runner as running
from longdwm_env.evaluation.policies.episode_store import EvaluationFolder, NotKept
from longdwm_env.evaluation.policies.episode_worker import Worker
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig
from longdwm_env.evaluation.policies.runner import evaluate
from longdwm_env.io.figures import save_picture

from .tiny_runs import CONFIG, POLICIES

SMALL = {"episodes": 2, "max_episode_s": 2.0, "image_size": (24, 36), "videos": False, "reference": None}
GREY = np.full((48, 72, 3), 90, np.uint8)


def full_disk_after(count, monkeypatch):
    """The disk is full from the ``count``-th written file on."""
    written = []

    def write(path, data):
        written.append(path)
        if len(written) > count:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    monkeypatch.setattr("longdwm_env.evaluation.policies.episode_store.atomic_write_bytes", write)
    monkeypatch.setattr(
        "longdwm_env.evaluation.policies.episode_store.atomic_write_json",
        lambda path, value: write(path, json.dumps(value).encode()),
    )


@pytest.mark.usefixtures("plain_reports")
def test_a_full_disk_ends_the_run_with_the_reason_and_its_workers_and_keeps_what_was_done(monkeypatch, tmp_path):
    config = EvaluationConfig(("constant-velocity", "random"), world="warp", scenes=str(tmp_path / "a.png"), **SMALL)
    save_picture(tmp_path / "a.png", GREY)
    with monkeypatch.context() as patched:
        full_disk_after(2, patched)
        with pytest.raises(NotKept, match=r"No space left on device.*kept") as caught:
            evaluate(config, tmp_path / "out", processes=2, quiet=True)
    assert caught.traceback  # the error, and so the frames that knew the workers, is still remembered here
    assert multiprocessing.active_children() == []
    kept = {path.name: path.read_bytes() for path in (tmp_path / "out" / "episodes").iterdir()}
    assert len(kept) == 1
    assert len(evaluate(config, tmp_path / "out", quiet=True, here=Worker(config)).policies) == 2
    for name, data in kept.items():
        assert (tmp_path / "out" / "episodes" / name).read_bytes() == data


def test_a_report_that_cannot_be_written_says_so_and_can_be_written_later(go, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(running, "write_report", full)
        with pytest.raises(NotKept, match="report"):
            go()
    _, out = go()
    assert (out / "report.html").is_file()


def test_a_run_that_did_not_begin_refuses_no_other_and_records_of_none_are_not_taken_for_ours(go, tmp_path):
    with pytest.raises(InvalidConfig, match="no-such"):
        go(replace(CONFIG, policies=("no-such",)))
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "evaluation.json").write_text(json.dumps({"config": {}, "hashes": {}}))
    summary, out = go()
    assert len(summary.policies) == 2
    (out / "evaluation.json").unlink()
    with pytest.raises(InvalidConfig, match="not the record"):
        go()


@pytest.mark.usefixtures("plain_reports")
def test_a_changed_picture_policy_or_camera_file_is_another_evaluation(tmp_path):
    picture, policy = tmp_path / "a.png", tmp_path / "policy.py"
    save_picture(picture, GREY)
    shutil.copy(POLICIES, policy)
    config = EvaluationConfig((f"{policy}:kind=good", "random"), world="warp", scenes=str(picture), **SMALL)
    evaluate(config, tmp_path / "out", quiet=True, here=Worker(config))
    before = picture.read_bytes()
    save_picture(picture, GREY + 20)
    with pytest.raises(InvalidConfig, match=r"scenes .*a\.png have changed"):
        evaluate(config, tmp_path / "out", quiet=True, here=Worker(config))
    picture.write_bytes(before)
    evaluate(config, tmp_path / "out", quiet=True, here=Worker(config))
    (tmp_path / "a.camera.json").write_text('{"speed_mps": 3.0}')
    with pytest.raises(InvalidConfig, match=r"a\.png have changed"):
        evaluate(config, tmp_path / "out", quiet=True, here=Worker(config))
    (tmp_path / "a.camera.json").unlink()
    policy.write_text(policy.read_text() + "\n# another\n")
    with pytest.raises(InvalidConfig, match=r"policy\.py.* have changed"):
        evaluate(config, tmp_path / "out", quiet=True, here=Worker(config))


def test_what_changes_during_a_run_is_never_reported_as_one(go, tmp_path, monkeypatch):
    policy = tmp_path / "policy.py"
    shutil.copy(POLICIES, policy)
    config = replace(CONFIG, policies=(f"{policy}:kind=good", "constant-velocity"))
    original = policy.read_text()
    write = EvaluationFolder.write

    def changing(folder, job, result):
        write(folder, job, result)
        policy.write_text(original + "\n# another\n")

    with monkeypatch.context() as patched:
        patched.setattr(EvaluationFolder, "write", changing)
        with pytest.raises(InvalidConfig, match="changed while"):
            go(config)
    for text in (original, original + "\n# another\n"):
        policy.write_text(text)
        with pytest.raises(InvalidConfig, match="chang"):
            go(config)
    assert not (tmp_path / "out" / "report.html").exists()


def test_files_of_modules_parameters_and_weights_are_part_of_a_run(tmp_path, monkeypatch):
    package = tmp_path / "drivers_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('looked at, not run')")
    (package / "fast.py").write_text("x = 1")
    (tmp_path / "net.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    policy = f"drivers_of_a_test.fast:make:net={tmp_path / 'net.bin'}"
    config = EvaluationConfig((policy, "idm", "ws://nowhere:1"), world="mini", reference=None)
    first = provenance.hashes(config)
    assert {policy, f"{policy} net", "mini"} == set(first)
    (package / "fast.py").write_text("x = 2")
    (tmp_path / "net.bin").write_bytes(b"others")
    second = provenance.hashes(config)
    assert {name for name in first if first[name] != second[name]} == {policy, f"{policy} net"}


def test_folders_named_like_our_worlds_and_policies_are_not_looked_at(tmp_path, monkeypatch):
    for name in ("simulator", "idm"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert provenance.hashes(EvaluationConfig(("idm",))) == {}


def test_a_large_dataset_is_told_by_size_and_time_beyond_what_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "LARGEST_READ_BYTES", 4)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"1234")
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    first = provenance.scenes_hash(tmp_path)
    (tmp_path / "a").write_bytes(b"4321")
    os.utime(tmp_path / "a", (1, 1))
    second = provenance.scenes_hash(tmp_path)
    os.utime(tmp_path / "b", (2, 2))
    assert len({first, second, provenance.scenes_hash(tmp_path)}) == 3
