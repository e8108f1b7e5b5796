"""Switches: the same pictures, or a refusal that says what to do."""

import importlib.util

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.nn.attention import SDPBackend

from longdwm_env.errors import InvalidConfig, MissingDependency
from longdwm_env.models import presets, speed
from longdwm_env.models.costs import denoiser_inputs
from longdwm_env.models.speed import NamedAttention, speed_up, use_attention, use_weights

needs_torchao = pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="torchao is not installed")
SIZE = (8, 12)


def transformer():
    """One that says something: untrained ones put out zeros."""
    model = presets.build(presets.debug_cogvideox()).coarse
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def said(model, frames):
    given = denoiser_inputs(model, 1, frames, SIZE, torch.float32)
    generator = torch.Generator().manual_seed(frames)
    given["hidden_states"] = torch.randn(given["hidden_states"].shape, generator=generator)
    with torch.no_grad():
        return model(**given).sample


def test_the_repeated_block_is_one_graph_for_4_and_13_latents(monkeypatch):
    model = transformer()
    plain = [said(model, frames) for frames in (4, 13, 7)]
    torch._dynamo.reset()
    graphs = CompileCounter()
    compile_blocks = type(model).compile_repeated_blocks

    def counted(self, **given):
        compile_blocks(self, backend=graphs, **given)

    # What a compiler makes of the graph is its own affair; how many graphs there are is ours.
    monkeypatch.setattr(type(model), "compile_repeated_blocks", counted)
    speed_up(model, compile_blocks=True, attention="math")
    for frames, wanted in zip((4, 13, 7), plain, strict=True):
        assert torch.allclose(said(model, frames), wanted, atol=1e-5)
    assert graphs.frame_count == 1
    torch._dynamo.reset()


def test_without_a_compiler_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(speed.shutil, "which", lambda name: None)
    with pytest.raises(MissingDependency, match="C\\+\\+ compiler"):
        speed_up(transformer(), compile_blocks=True)


@pytest.mark.parametrize("name", ["flash", "math"])
def test_attention_by_name_says_the_same(name):
    model = transformer()
    wanted = said(model, 4)
    use_attention(model, name)
    chosen = {processor.backend for processor in model.attn_processors.values()}
    assert chosen == {SDPBackend.FLASH_ATTENTION if name == "flash" else SDPBackend.MATH}
    assert all(isinstance(processor, NamedAttention) for processor in model.attn_processors.values())
    assert torch.allclose(said(model, 4), wanted, atol=1e-5)


def test_attention_that_does_not_run_here_is_refused_with_what_does():
    with pytest.raises(InvalidConfig, match=r"does not run on cpu .* here flash and math do"):
        use_attention(transformer(), "cudnn")
    with pytest.raises(InvalidConfig, match="allowed are flash"):
        use_attention(transformer(), "fast")


@needs_torchao
@pytest.mark.parametrize("name", ["int8", "float8", "int8-dynamic"])
def test_blocks_in_eight_bits_say_nearly_the_same_in_less_memory(name):
    model = transformer()
    wanted = said(model, 4)
    use_weights(model, name)
    found = said(model, 4)
    assert not torch.equal(found, wanted)
    assert (found - wanted).abs().mean() < 0.05 * wanted.abs().mean()
    inner = model.transformer_blocks[0].attn1.to_q.weight
    stored = [getattr(inner, part) for part in inner.__tensor_flatten__()[0] if getattr(inner, part) is not None]
    assert min(part.element_size() for part in stored if isinstance(part, torch.Tensor)) == 1
    assert type(model.proj_out.weight) is torch.nn.Parameter, "only the blocks are kept in eight bits"


@needs_torchao
def test_products_of_float8_need_a_gpu_that_has_them():
    with pytest.raises(InvalidConfig, match=r"8\.9"):
        use_weights(transformer(), "float8-dynamic")


def test_without_torchao_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(speed, "is_installed", lambda package: False)
    with pytest.raises(MissingDependency, match=r"pip install 'longdwm\[large\]'"):
        use_weights(transformer(), "int8")
    with pytest.raises(InvalidConfig, match="allowed are int8"):
        use_weights(transformer(), "int4")
