"""LoRA and moments of eight bits: they learn, are kept and gone on with exactly, and leave a plain pipeline."""

import importlib.util
import json
import shutil
from dataclasses import replace

import pytest
import torch

from longdwm_env.errors import MissingDependency
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.checkpoint import checkpoints, read_checkpoint
from longdwm_env.training.config import OptimizerConfig, StageConfig, overridden
from longdwm_env.training.recipes import recipe
from longdwm_env.training.scaling import lora, optimizers
from longdwm_env.training.scaling.lora import OWN_MODULES, LoraChoices
from longdwm_env.training.stages import run_stage
from longdwm_env.training.workspace import Workspace

MADE = recipe("cogvideox-2b-nuscenes", "debug")
SWITCHES = {
    "lora": ("lora.rank=4", "lora.alpha=8", "loop.attention=math"),
    "8bit": ("optimizer.moments=8bit",),
}
NEEDED = {"lora": "peft", "8bit": "torchao"}


def config(kind: str, steps: int) -> StageConfig:
    settings = ("loop.tracker=none", "loop.log_every=1", "loop.sample_every=0", "loop.checkpoint_every=3")
    pairs = (entry.split("=") for entry in (*settings, f"loop.steps={steps}", *SWITCHES[kind]))
    return overridden(MADE.stage("fine"), dict(pairs))


def losses(workspace: Workspace) -> list[float]:
    lines = (workspace.stage("fine") / "losses.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.parametrize("kind", SWITCHES)
def test_a_stage_with_it_learns_resumes_exactly_and_exports(kind, encoded, tmp_path, monkeypatch):
    if importlib.util.find_spec(NEEDED[kind]) is None:
        pytest.skip(f"{NEEDED[kind]} is not installed")
    if kind == "8bit":
        # torchao compiles its step for every shape; computed as written it is the same step.
        monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    whole, parts = Workspace(tmp_path / "whole"), Workspace(tmp_path / "parts")
    for workspace in (whole, parts):
        shutil.copytree(encoded, workspace.root)
    assert run_stage(MADE, "fine", whole, config(kind, 12), device="cpu").finished
    assert run_stage(MADE, "fine", parts, config(kind, 12), device="cpu", max_seconds=0.0).step == 1
    assert run_stage(MADE, "fine", parts, config(kind, 12), device="cpu").finished
    assert losses(parts) == losses(whole)
    assert sum(losses(whole)[-4:]) < sum(losses(whole)[:4])

    last = read_checkpoint(checkpoints(whole.stage("fine") / "checkpoints")[-1])
    ends, begun = (
        LongDWMPipeline.from_pretrained(str(root / "pipeline")).fine.state_dict() for root in (whole.root, encoded)
    )
    assert ends.keys() == begun.keys(), "a plain transformer"
    changed = {name for name in begun if not torch.equal(ends[name], begun[name])}
    block = "transformer_blocks.0.attn1.to_q.weight"
    assert block in changed
    if kind == "lora":
        assert all("lora" in name or name.split(".")[1] in OWN_MODULES for name in last.weights)
        assert torch.linalg.matrix_rank(ends[block] - begun[block], atol=1e-6) <= 4
        assert "proj_out.weight" not in changed
        assert any(name.startswith("known_embed") for name in changed)
    if kind == "8bit":
        codes = [tensor for name, tensor in last.optimizer.items() if name.endswith(".codes")]
        assert codes
        assert all(tensor.dtype == torch.uint8 for tensor in codes)


def test_what_is_not_installed_is_named(monkeypatch):
    for module in (lora, optimizers):
        monkeypatch.setattr(module, "is_installed", lambda package: False)
    with pytest.raises(MissingDependency, match=r"longdwm\[train\]"):
        lora.add_lora(torch.nn.Linear(2, 2), LoraChoices(rank=2), seed=0)
    with pytest.raises(MissingDependency, match=r"longdwm\[large\]"):
        optimizers.adamw([], replace(OptimizerConfig(), moments="8bit"))
