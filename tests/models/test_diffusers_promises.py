"""What diffusers' own tests of pipelines promise, of ours.

Its testers (``PipelineTesterMixin``, ``PipelineFromPipeTesterMixin``) are in its repository and in no package, so they
cannot be called here. Each test says which of theirs it stands for; ``test_pipeline.py`` has these of theirs already:
``test_save_load_local``, ``test_pipeline_call_signature``, ``test_inference_batch_single_identical``,
``test_pt_np_pil_inputs_equivalent`` and outputs, ``test_dict_tuple_outputs_equivalent``, ``test_cfg``,
``test_save_load_optional_components``, ``test_to_device``, ``test_to_dtype``, ``test_cpu_offload_forward_pass``,
``test_callback_cfg`` and ``test_callback_inputs``. Of no
meaning here are ``test_num_images_per_prompt`` and ``test_encode_prompt_works_in_isolation`` (a video has one picture
to start from; ours is ``encode_text``), and what replaces attention processors or needs a GPU.
"""

import inspect

import numpy as np
import pytest
import torch

from longdwm_env.models.pipeline import LongDWMPipeline

GIVEN = {"seconds": 1.0, "prompt": "Weather: rainy", "generator": 3, "output_type": "np", "num_inference_steps": 2}


@pytest.fixture
def frames(image):
    """A function (pipeline, **changes) -> what its call gives first."""
    return lambda pipeline, **changes: pipeline(image, **{**GIVEN, **changes})[0]


def quiet(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_components_are_all_that_is_built_from(pipeline, frames):
    """``test_components_function``: together with the configuration."""
    parameters = set(inspect.signature(LongDWMPipeline.__init__).parameters) - {"self"}
    assert set(pipeline.components) == parameters - {"settings"}
    again = quiet(LongDWMPipeline(**pipeline.components, settings=pipeline.config.settings))
    assert np.array_equal(frames(again), frames(pipeline))


def test_one_pipeline_is_made_from_another(pipeline, frames):
    """``test_from_pipe_consistent_config`` and ``test_from_pipe_consistent_forward_pass``."""
    again = quiet(LongDWMPipeline.from_pipe(pipeline))
    assert again.config == pipeline.config
    assert again.components == pipeline.components
    assert np.array_equal(frames(again), frames(pipeline))


def test_variants(pipeline, frames, tmp_path):
    """``test_serialization_with_variants``, ``test_loading_with_variants`` and the one without the right variant."""
    pipeline.save_pretrained(tmp_path, variant="fp16")
    for component in ("vae", "coarse", "fine"):
        assert list((tmp_path / component).glob("*.fp16.safetensors"))
    loaded = quiet(LongDWMPipeline.from_pretrained(tmp_path, variant="fp16"))
    assert np.array_equal(frames(loaded), frames(pipeline))
    with pytest.raises(OSError, match="no file named"):
        LongDWMPipeline.from_pretrained(tmp_path)


def test_stored_in_eight_bits(built, image, frames):
    """``test_layerwise_casting_inference``."""
    pipeline = built("debug")
    pipeline.coarse.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    assert np.isfinite(frames(pipeline)).all()


def test_offloaded_in_groups(built, pipeline, image, frames):
    """``test_group_offloading_inference``, on the device that it is on."""
    offloaded = built("debug")
    for part in (offloaded.coarse, offloaded.fine):
        part.enable_group_offload(torch.device("cpu"), offload_type="leaf_level")
    assert np.array_equal(frames(offloaded), frames(pipeline))
