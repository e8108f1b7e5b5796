from dataclasses import replace

import pytest
import torch

from longdwm_env.models import presets
from longdwm_env.models.presets import COGVIDEOX_2B_PARAMETERS, PRESETS, build, parameter_counts


def test_mini_has_its_size():
    counts = parameter_counts(build(presets.mini(), device="meta"))
    assert 6e6 < counts["fine"] < 13e6
    assert 6e6 < counts["coarse"] < 13e6
    assert counts["vae"] < 1e6


def test_full_size_is_cogvideox_2b_and_what_we_add():
    pipeline = build(presets.cogvideox_2b(), device="meta")
    counts = parameter_counts(pipeline)
    assert counts["vae"] == COGVIDEOX_2B_PARAMETERS["vae"]
    assert counts["text_encoder"] == COGVIDEOX_2B_PARAMETERS["text_encoder"]
    new = ("known_embed.", "warp_embed.", "warp_projections.", "motion_embed.")
    for name in ("coarse", "fine"):
        weights = getattr(pipeline, name).named_parameters()
        own = sum(weight.numel() for key, weight in weights if not key.startswith(new))
        assert own == COGVIDEOX_2B_PARAMETERS["transformer"]


@pytest.mark.parametrize("name", ["debug", "debug-cogvideox"])
def test_the_same_seed_builds_the_same_weights(name, nothing_drawn):
    with nothing_drawn():
        first, second, other = (build(PRESETS[name](), seed=seed).coarse.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_configurations_that_do_not_fit_are_refused():
    config = presets.debug()
    with pytest.raises(ValueError, match="give fine 6 views, but warp_views=2"):
        replace(config, fine=replace(config.fine, warp_views=2))
    with pytest.raises(ValueError, match="warp_views must be at least 2"):
        replace(config.coarse, warp_views=1)
    with pytest.raises(ValueError, match="predict the sample"):
        replace(config, scheduler=presets.scheduler_arguments("v_prediction", 1.0))
    with pytest.raises(ValueError, match="share a codec"):
        replace(config, coarse=replace(config.coarse, in_channels=8))
