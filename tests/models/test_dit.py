import pytest
import torch
from diffusers import CogVideoXTransformer3DModel

from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.settings import TransformerConfig

TINY = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "in_channels": 4,
    "out_channels": 4,
    "time_embed_dim": 8,
    "text_embed_dim": 12,
    "num_layers": 2,
    "sample_width": 6,
    "sample_height": 4,
    "sample_frames": 49,
    "max_text_seq_length": 3,
}
OPTIONS = {"known_frames": True, "warp_views": 2, "motion": True}
STEM = {"stem_channels": 16, "frames_per_token": 3}


def inputs(frames=5, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return {
        "hidden_states": draw(batch, frames, 4, 4, 6),
        "encoder_hidden_states": draw(batch, 3, 12),
        "timestep": torch.tensor([3, 700])[:batch],
        "known": draw(batch, frames, 4, 4, 6),
        "known_mask": torch.ones(batch, frames),
        "warp": draw(batch, frames, 2, 4, 4, 6),
        "warp_mask": torch.ones(batch, frames, 2),
        "motion": draw(batch, frames, 6),
    }


def model(seed=0, shake=True, **options):
    torch.manual_seed(seed)
    made = LongDWMTransformer3DModel(**{**TINY, **options}).eval()
    if shake:
        for weight in made.parameters():
            weight.data.add_(0.02 * torch.randn_like(weight))
    return made


def plain(given):
    return {key: given[key] for key in ("hidden_states", "encoder_hidden_states", "timestep")}


@pytest.mark.parametrize("frames", [1, 4, 13])
@torch.no_grad()
def test_with_everything_off_it_is_cogvideox(frames, tmp_path):
    torch.manual_seed(0)
    original = CogVideoXTransformer3DModel(**TINY).eval()
    original.save_pretrained(tmp_path)
    ours = LongDWMTransformer3DModel.from_pretrained(tmp_path, use_safetensors=True)
    assert set(ours.state_dict()) == set(original.state_dict())
    given = plain(inputs(frames))
    assert torch.equal(ours(**given).sample, original(**given).sample)


def test_the_preset_s_defaults_are_cogvideox_s_own():
    with torch.device("meta"):
        ours = LongDWMTransformer3DModel(**TransformerConfig().to_kwargs())
        original = CogVideoXTransformer3DModel()
    shapes = {name: tuple(weight.shape) for name, weight in original.state_dict().items()}
    assert {name: tuple(weight.shape) for name, weight in ours.state_dict().items()} == shapes


@torch.no_grad()
def test_new_conditions_change_nothing_before_training():
    original, ours = model(shake=False), model(shake=False, **OPTIONS)
    ours.load_state_dict({**ours.state_dict(), **original.state_dict()})
    given = inputs()
    assert torch.equal(ours(**given).sample, original(**plain(given)).sample)


@pytest.mark.parametrize("options", [OPTIONS, {**OPTIONS, **STEM}, {**OPTIONS, **STEM, "residual_warp": True}])
@pytest.mark.parametrize("name", ["known", "warp", "motion", "known_mask", "warp_mask"])
@torch.no_grad()
def test_every_condition_reaches_the_output_once_trained(options, name):
    ours, given = model(**options), inputs()
    assert not torch.allclose(ours(**given).sample, ours(**{**given, name: 0.5 * given[name]}).sample, atol=1e-5)


@torch.no_grad()
def test_known_frames_join_on_the_channel_axis():
    """A second patch embedding is the same as more input channels of the first."""
    ours, given = model(known_frames=True), inputs()
    wide = CogVideoXTransformer3DModel(**{**TINY, "in_channels": 9}).eval()
    weights = {key: value for key, value in ours.state_dict().items() if not key.startswith("known_embed")}
    joined = torch.cat([weights["patch_embed.proj.weight"], ours.known_embed.weight], dim=1)
    wide.load_state_dict({**weights, "patch_embed.proj.weight": joined})
    channels = torch.cat([given["hidden_states"], given["known"], torch.ones(2, 5, 1, 4, 6)], dim=2)
    expected = wide(channels, given["encoder_hidden_states"], given["timestep"]).sample
    found = ours(**plain(given), known=given["known"], known_mask=given["known_mask"]).sample
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 3, 13])
@torch.no_grad()
def test_an_untrained_residual_model_says_the_warp(frames):
    given = inputs(frames)
    given["warp_mask"][1, :, 1] = 0
    ours = model(shake=False, **OPTIONS, **STEM, residual_warp=True)
    assert torch.equal(ours(**given).sample, given["warp"][:, :, 0])
    one_view = model(shake=False, **{**OPTIONS, "warp_views": 1}, **STEM, residual_warp=True)
    first = {"warp": given["warp"][:, :, :1], "warp_mask": given["warp_mask"][:, :, :1]}
    assert torch.equal(one_view(**{**given, **first}).sample, given["warp"][:, :, 0])


@torch.no_grad()
def test_known_frames_come_back_and_a_sample_does_not_depend_on_what_others_know():
    options = {**OPTIONS, **STEM, "residual_warp": True, "keep_known": True}
    ours, given = model(**options), inputs(5)
    given["known_mask"] = torch.tensor([[1.0, 1, 0, 0, 1], [1.0, 0, 0, 0, 0]])
    together = ours(**given).sample
    known = given["known_mask"].bool()
    assert torch.equal(together[known], given["known"][known])
    for row in range(2):
        alone = ours(**{name: value[row : row + 1] for name, value in given.items()}).sample
        assert torch.allclose(together[row : row + 1], alone, atol=1e-5)


LAYOUT = {**OPTIONS, **STEM, "warp_views": 3, "layout_view": True, "residual_warp": True}


def with_layout(frames=5):
    """Inputs of two pictures and a layout."""
    given, layout = inputs(frames), inputs(frames, seed=1)["warp"][:, :, :1]
    return {**given, "warp": torch.cat([given["warp"], layout], dim=2), "warp_mask": torch.ones(2, frames, 3)}


@torch.no_grad()
def test_a_mixture_is_of_pictures_and_never_of_the_layout():
    ours, given = model(**LAYOUT, mix_views=True), with_layout()
    assert ours.head.conv_views.out_channels == 2
    # What remains without the last layer is the mixture: it lies between the pictures, whatever the layout's latent.
    ours.head.conv_out.weight.zero_()
    ours.head.conv_out.bias.zero_()
    other = {**given, "warp": given["warp"].clone()}
    other["warp"][:, :, 2] = 50.0
    mixed, changed = ours(**given).sample, ours(**other).sample
    least, most = given["warp"][:, :, :2].amin(dim=2), given["warp"][:, :, :2].amax(dim=2)
    for output in (mixed, changed):
        assert (output >= least - 1e-5).all()
        assert (output <= most + 1e-5).all()
    # The layout says which picture is right, though.
    assert not torch.allclose(mixed, changed, atol=1e-4)


@pytest.mark.parametrize("mix_views", [False, True])
@torch.no_grad()
def test_the_layout_counts_where_there_is_a_map_and_nowhere_else(mix_views):
    ours, given = model(**LAYOUT, mix_views=mix_views), with_layout()
    given["warp_mask"][1, :, 2] = 0
    other = {**given, "warp": given["warp"].clone()}
    other["warp"][:, :, 2] += 1
    before, after = ours(**given).sample, ours(**other).sample
    assert not torch.allclose(before[0], after[0], atol=1e-4)
    assert torch.equal(before[1], after[1])


@pytest.mark.parametrize("options", [OPTIONS, {**OPTIONS, **STEM, "residual_warp": True}])
@torch.no_grad()
def test_saved_and_loaded_it_is_the_same(options, tmp_path):
    ours, given = model(**options), inputs()
    ours.save_pretrained(tmp_path)
    loaded = LongDWMTransformer3DModel.from_pretrained(tmp_path, use_safetensors=True)
    assert {**loaded.config, "_name_or_path": 0} == {**ours.config, "_name_or_path": 0}
    assert loaded.config.in_channels == 4
    assert torch.equal(loaded(**given).sample, ours(**given).sample)


@pytest.mark.parametrize("options", [OPTIONS, {**OPTIONS, **STEM}])
def test_gradient_checkpointing_gives_the_same_gradients(options):
    given = inputs()
    gradients = []
    for checkpointing in (False, True):
        ours = model(**options).train()
        if checkpointing:
            ours.enable_gradient_checkpointing()
            assert ours.is_gradient_checkpointing
        ours(**given).sample.square().mean().backward()
        gradients.append({name: weight.grad for name, weight in ours.named_parameters()})
    for name, expected in gradients[0].items():
        assert expected is not None, name
        assert torch.allclose(gradients[1][name], expected, atol=1e-6), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"residual_warp": True}, "warp_views must be at least 1"),
        ({"warp_views": 1, "layout_view": True}, "warp_views must be at least 2"),
        ({"frames_per_token": 2}, "stem_channels must be above 0"),
        ({"sample_height": 5}, "do not divide into patches"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TransformerConfig(**options)


def test_other_architectures_of_cogvideox_are_refused():
    with pytest.raises(ValueError, match="rotary"):
        LongDWMTransformer3DModel(**TINY, use_rotary_positional_embeddings=True)


@pytest.mark.parametrize(("preset", "which"), [("debug", "coarse"), ("debug", "fine"), ("debug-cogvideox", "fine")])
def test_both_models_compile_as_one_graph(built, preset, which):
    """Whatever is known, in the same graph; a mask's values decide no shape."""
    ours = getattr(built(preset), which)
    config = ours.config
    torch._dynamo.reset()
    graphs = []
    compiled = torch.compile(ours, fullgraph=True, backend=lambda graph, _: graphs.append(graph) or graph.forward)
    size = (config.in_channels, config.sample_height, config.sample_width)
    for known in (4, 2, 5):
        generator = torch.Generator().manual_seed(known)
        draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731, B023
        mask = (torch.arange(5) < known).float()[None]
        given = {
            "hidden_states": draw(1, 5, *size),
            "encoder_hidden_states": draw(1, config.max_text_seq_length, config.text_embed_dim),
            "timestep": torch.tensor([500]),
            "known": draw(1, 5, *size) * mask[:, :, None, None, None],
            "known_mask": mask,
            "warp": draw(1, 5, config.warp_views, *size),
            "warp_mask": torch.ones(1, 5, config.warp_views),
            "motion": draw(1, 5, 6),
        }
        with torch.no_grad():
            assert torch.allclose(compiled(**given).sample, ours(**given).sample, atol=1e-5)
    assert len(graphs) == 1
    torch._dynamo.reset()
