import json

import pytest

from longdwm_env.cli.benchmarks.bench_full_size import bench_full_size, pass_operations, rollout_operations
from longdwm_env.errors import InvalidConfig
from longdwm_env.models import presets


def test_it_runs_tiny_on_a_cpu(tmp_path, capsys):
    out = tmp_path / "bench.json"
    assert bench_full_size("debug", device="cpu", steps=(2, 1), guidance_scale=2.0, out=out) == 0
    results = json.loads(out.read_text())["results"]
    assert [result["frames"] for result in results] == [145, 13, 145, 13]
    assert all(result["seconds"]["total"] > 0 for result in results)
    assert "145 frames, 2 steps, guidance 2" in capsys.readouterr().out


def test_operations_are_those_of_the_modules():
    """Against PyTorch's own counter, which sees the linear layers and attention of one pass."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    pipeline = presets.build(presets.debug_cogvideox())
    noisy, text = torch.zeros(1, 4, 4, 8, 12), torch.zeros(1, 16, 32)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        pipeline.coarse(noisy, text, torch.tensor([5]), warp=torch.zeros(1, 4, 1, 4, 8, 12))
    counted = pass_operations(pipeline.coarse, 4, (64, 96), 8)
    assert 0.75 * counter.get_total_flops() < counted < 1.1 * counter.get_total_flops()


def test_the_floor_of_the_full_size_is_the_known_one():
    """145 frames: about 50 steps with guidance in 49 s at 790 TFLOP/s."""
    pipeline = presets.build(presets.cogvideox_2b(), device="meta", text_encoder=False)
    seconds = 100 * rollout_operations(pipeline, 12.0, None) / 790e12
    assert 40 < seconds < 65


def test_an_unknown_preset_is_refused():
    with pytest.raises(InvalidConfig, match="there are mini"):
        bench_full_size("huge")
