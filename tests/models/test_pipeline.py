"""What diffusers asks of every pipeline in its common tests, on tiny random models."""

import inspect
import json
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import torch
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback

from longdwm_env.geometry.sweep import SweepSettings
from longdwm_env.models.folder import check_weights_match
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.settings import LongDWMSettings, OpenChoices

MINI = {"seconds": 2.0, "prompt": "Weather: rainy", "generator": 3, "output_type": "np"}


def run(pipeline, image, **changes):
    return pipeline(image, **{**MINI, **changes}).frames


@pytest.fixture(scope="module")
def usual(pipeline, image):
    """The frames of the usual call, for tests of others."""
    return run(pipeline, image)


def test_call_has_the_arguments_that_diffusers_expects():
    parameters = inspect.signature(LongDWMPipeline.__call__).parameters
    expected = {"image", "prompt", "negative_prompt", "num_inference_steps", "guidance_scale", "generator"}
    expected |= {"output_type", "return_dict", "callback_on_step_end", "callback_on_step_end_tensor_inputs"}
    assert expected <= set(parameters)
    assert "latents" in LongDWMPipeline._callback_tensor_inputs


def test_saved_and_loaded_it_gives_the_same_frames(pipeline, image, tmp_path, usual):
    pipeline.save_pretrained(tmp_path, safe_serialization=True)
    assert not list(tmp_path.rglob("*.bin"))
    loaded = LongDWMPipeline.from_pretrained(tmp_path)
    check_weights_match(tmp_path, loaded.components)
    loaded.set_progress_bar_config(disable=True)
    assert loaded.settings == pipeline.settings
    assert np.array_equal(run(loaded, image), usual)


def test_without_accelerate_it_loads_and_says_nothing(pipeline, tmp_path, monkeypatch):
    pipeline.save_pretrained(tmp_path, safe_serialization=True)
    said = []
    for module in ("longdwm_env.models.safetensors_pipeline", "diffusers.pipelines.pipeline_utils"):
        monkeypatch.setattr(f"{module}.is_accelerate_available", lambda: False)
    for module in ("diffusers.pipelines.pipeline_utils", "diffusers.models.modeling_utils"):
        monkeypatch.setattr(f"{module}.logger.warning", lambda text, *_: said.append(text))
    check_weights_match(tmp_path, LongDWMPipeline.from_pretrained(tmp_path).components)
    assert not [text for text in said if "accelerate" in text]


def test_optional_components_may_be_missing(cogvideox_pipeline, picture, tmp_path):
    cogvideox_pipeline.save_pretrained(tmp_path)
    loaded = LongDWMPipeline.from_pretrained(tmp_path, text_encoder=None)
    assert loaded.tokenizer is None
    assert loaded.text_encoder is None
    loaded.set_progress_bar_config(disable=True)
    text = torch.zeros(1, 16, 32)
    image = picture(loaded.settings.image_size)
    with pytest.raises(ValueError, match="give prompt_embeds"):
        run(loaded, image)
    frames = run(loaded, image, prompt_embeds=text, seconds=1.0, num_inference_steps=1)
    assert frames.shape == (1, 12, 64, 96, 3)
    assert np.isfinite(frames).all()


def test_pickled_weights_are_never_loaded(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(OSError, match="safetensors"):
        LongDWMPipeline.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="safetensors alone"):
        LongDWMPipeline.from_pretrained(tmp_path, use_safetensors=False)


@pytest.mark.parametrize("seeds", [3, [3, 9]])
def test_a_batch_is_its_members(pipeline, image, picture, seeds, usual):
    images = [image, picture(pipeline.settings.image_size, 5)]
    both = run(pipeline, images, generator=seeds, prompt=["Weather: rainy", "Weather: sunny"])
    first = usual
    second = run(pipeline, images[1], generator=4 if seeds == 3 else 9, prompt="Weather: sunny")
    assert np.array_equal(both[0], first[0])
    assert np.array_equal(both[1], second[0])


def test_the_same_seed_gives_the_same_frames_and_another_does_not(pipeline, image):
    first = run(pipeline, image)
    assert np.array_equal(run(pipeline, image), first)
    generator = torch.Generator().manual_seed(0)
    drawn = run(pipeline, image, generator=generator)
    assert np.array_equal(run(pipeline, image, generator=torch.Generator().manual_seed(0)), drawn)
    assert not np.array_equal(run(pipeline, image, generator=generator), drawn)
    assert not np.array_equal(run(pipeline, image, generator=4), first)


def test_every_output_type_says_the_same(pipeline, image, usual):
    arrays = usual
    tensors = run(pipeline, image, output_type="pt")
    pictures = run(pipeline, image, output_type="pil")
    assert tensors.shape == (1, 24, 3, 32, 48)
    assert np.array_equal(tensors.movedim(2, -1).numpy(), arrays)
    assert isinstance(pictures[0][0], PIL.Image.Image)
    assert np.array_equal(np.array(pictures[0][5]), (arrays[0, 5] * 255).round().astype(np.uint8))
    latents = run(pipeline, image, output_type="latent")
    assert latents.shape == (1, 2, 16, 4, 6)
    (frames,) = pipeline(image, **MINI, return_dict=False)
    assert np.array_equal(frames, arrays)


def test_every_form_of_a_picture_says_the_same(pipeline, image, usual):
    expected = usual
    tensor = torch.from_numpy(image).movedim(-1, 0).float() / 255
    for form in (PIL.Image.fromarray(image), tensor, image[None], image.astype(np.float32) / 255):
        assert np.array_equal(run(pipeline, form), expected)


def test_streaming_gives_what_a_call_gives(pipeline, image):
    whole = run(pipeline, image, seconds=3.25)
    parts = list(pipeline.stream(image, seconds=3.25, prompt="Weather: rainy", generator=3))
    assert [len(part) for part in parts] == [12, 12, 12, 3]
    assert np.array_equal(np.concatenate(parts), (whole[0] * 255).round().astype(np.uint8))


def test_second_by_second_the_last_keyframes_are_in_view(pipeline, image, picture):
    closed = run(pipeline, image, seconds=3.0, keyframes_per_rollout=1)
    assert closed.shape[1] == 36
    assert not np.array_equal(closed, run(pipeline, image, seconds=3.0))
    history = np.stack([picture((32, 48), seed) for seed in range(25)])
    led = run(pipeline, history, keyframes_per_rollout=1)
    assert not np.array_equal(led, run(pipeline, history[-1], keyframes_per_rollout=1))


def test_prompt_and_trajectory_matter(pipeline, image, usual):
    expected = usual
    assert not np.array_equal(run(pipeline, image, prompt="Weather: foggy"), expected)
    assert not np.array_equal(
        run(pipeline, image, trajectory="stop"), run(pipeline, image, trajectory=np.zeros((24, 3)))
    )


def test_guidance_away_from_the_empty_prompt(pipeline, image):
    off = run(pipeline, image, guidance_scale=1.0)
    guided = run(pipeline, image, guidance_scale=3.0)
    assert not np.array_equal(guided, off)
    assert pipeline.guidance_scale == 3.0
    assert pipeline.do_classifier_free_guidance
    same = run(pipeline, image, guidance_scale=3.0, negative_prompt="Weather: rainy")
    assert np.abs(same - off).max() <= 1.01 / 255


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"seconds": 13.0, "num_inference_steps": (2, 1)}, 2 * 2 + 13),
        ({"seconds": 3.0, "keyframes_per_rollout": 1, "num_inference_steps": 2}, 3 * (2 + 2)),
        ({"seconds": 5.0, "micro_batch": 2, "num_inference_steps": 1}, 1 + 3),
        ({"seconds": 2.5, "output_type": "latent", "num_inference_steps": 3}, 3),
        ({"seconds": 1.0, "num_inference_steps": 1, "generator": [1, 2]}, 2 * 2),
    ],
)
def test_steps_run_through_a_whole_call(pipeline, image, changes, steps):
    seen, batch = [], len(changes.get("generator", [0]))
    run(pipeline, [image] * batch, **changes, callback_on_step_end=lambda pipe, step, t, tensors: seen.append(step))
    assert seen == list(range(steps))
    assert pipeline.num_timesteps == steps
    if batch == 1:
        seen.clear()
        options = {key: value for key, value in changes.items() if key != "output_type"}
        for _ in pipeline.stream(image, **options, callback_on_step_end=lambda pipe, step, t, _: seen.append(step)):
            pass
        assert seen == list(range(pipeline.num_timesteps))


def test_a_guidance_scale_that_a_callback_changes_takes_effect(pipeline, image):
    """As in diffusers' ``test_callback_cfg``; also where guidance was off at first."""

    def raised(pipe, step, timestep, tensors):
        pipe._guidance_scale += 1.0
        return tensors

    for scale in (2.0, 1.0):
        steady = run(pipeline, image, guidance_scale=scale)
        assert not np.array_equal(run(pipeline, image, guidance_scale=scale, callback_on_step_end=raised), steady)
        assert pipeline.guidance_scale == scale + pipeline.num_timesteps

    class Cutoff(PipelineCallback):
        tensor_inputs = ()

        def callback_fn(self, pipe, step, timestep, tensors):
            assert tensors == {}
            pipe._guidance_scale = 1.0
            return tensors

    both = MultiPipelineCallbacks([Cutoff(), Cutoff()])
    guided, cut = (run(pipeline, image, guidance_scale=4.0, callback_on_step_end=each) for each in (None, both))
    assert not np.array_equal(guided, cut)


def test_a_callback_gets_what_it_asks_for_and_may_say_nothing(pipeline, image, usual):
    """As in diffusers' ``test_callback_inputs``."""
    expected, asked = usual, []

    def watch(pipe, step, timestep, tensors):
        asked.append(tuple(tensors))

    for names in (None, (), ["latents"], pipeline._callback_tensor_inputs):
        shown = run(pipeline, image, callback_on_step_end=watch, callback_on_step_end_tensor_inputs=names)
        assert np.array_equal(shown, expected)
        assert set(asked) == {tuple(names or ())}
        asked.clear()

    def blank_at_last(pipe, step, timestep, tensors):
        last = step == pipe.num_timesteps - 1
        return {"latents": torch.zeros_like(tensors["latents"])} if last else {}

    blanked = run(pipeline, image, callback_on_step_end=blank_at_last)
    assert not np.array_equal(blanked[:, 12:], expected[:, 12:])
    assert np.array_equal(blanked[:, :12], expected[:, :12])


def test_a_callback_may_stop_after_the_rollout(pipeline, image):
    def stop(pipe, step, timestep, tensors):
        pipe._interrupt = True
        return tensors

    frames = run(pipeline, image, seconds=6.0, keyframes_per_rollout=2, callback_on_step_end=stop)
    assert frames.shape[1] == 24


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_type": "gif"}, "output_type must be"),
        ({"prompt": ["a", "b"]}, "2 prompts for 1 pictures"),
        ({"seconds": 0.01}, "whole number"),
        ({"num_inference_steps": 0}, "at least 1"),
        ({"keyframes_per_rollout": 13}, "1 to 12, got 13"),
        ({"trajectory": np.zeros((5, 3))}, "ask for fewer seconds"),
        ({"trajectory": np.full((24, 3), np.nan)}, "finite poses"),
        ({"trajectory": "sideways"}, "presets|pose file"),
        ({"generator": [1, 2]}, "2 generators for 1 samples"),
        ({"generator": -1}, "a seed is 0"),
        ({"callback_on_step_end_tensor_inputs": ["prompt_embeds"]}, "a callback may ask for"),
    ],
)
def test_what_cannot_be_meant_is_refused(pipeline, image, changes, message):
    with pytest.raises(ValueError, match=message):
        run(pipeline, image, **changes)


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4)), np.zeros((0, 4, 3)), np.full((4, 4, 3), 7.0), np.zeros((4, 4, 3), int)]
)
def test_what_is_no_picture_is_refused(pipeline, bad):
    with pytest.raises(ValueError, match="an image is"):
        run(pipeline, bad)


def test_every_component_follows_to_a_type(built, image):
    pipeline = built("debug").to(torch.bfloat16)
    parts = (pipeline.coarse, pipeline.fine, pipeline.vae, pipeline.text_encoder)
    assert {part.dtype for part in parts} == {torch.bfloat16}
    frames = run(pipeline, image)
    assert np.abs(frames - run(built("debug"), image)).mean() < 0.02


def test_offloading_gives_the_same_frames(built, image):
    accelerate = pytest.importorskip("accelerate", reason="offloading is accelerate's")
    pipeline = built("debug")
    expected = run(pipeline, image)
    with pytest.raises(RuntimeError, match="accelerator"):
        pipeline.enable_model_cpu_offload()
    # What it would do, with the CPU in the accelerator's place: every way into a model must pass its hook.
    hook, moved = None, []
    for name in LongDWMPipeline.model_cpu_offload_seq.split("->"):
        model = getattr(pipeline, name)
        _, hook = accelerate.cpu_offload_with_hook(model, "cpu", prev_module_hook=hook)
        before = model._hf_hook.pre_forward
        model._hf_hook.pre_forward = lambda *a, before=before, name=name, **k: moved.append(name) or before(*a, **k)
    assert np.array_equal(run(pipeline, image), expected)
    assert list(dict.fromkeys(moved)) == ["text_encoder", "vae", "coarse", "fine"]


def test_the_progress_bar_counts_seconds(built, image, capsys):
    pipeline = built("debug")
    pipeline.set_progress_bar_config(disable=False)
    run(pipeline, image)
    assert "2/2" in capsys.readouterr().err


def test_loading_a_lora_changes_one_transformer(built, image, tmp_path):
    peft = pytest.importorskip("peft", reason="LoRA needs the package peft")
    pipeline = built("debug")
    expected = run(pipeline, image)
    pipeline.fine.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    changed = run(pipeline, image)
    pipeline.fine.save_lora_adapter(tmp_path)
    fresh = built("debug")
    fresh.load_lora_weights(tmp_path, "fine")
    assert not np.array_equal(changed, expected)
    assert np.array_equal(run(fresh, image), changed)


def test_settings_are_checked_and_survive_json():
    settings = LongDWMSettings(image_size=(96, 144), history_keyframes=2)
    assert LongDWMSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    sweep = SweepSettings(planes=((7.0, 2.0), (50.0, 1.1)), baseline_frames=3, sharpness=0.25)
    shown = {"backward_warp": True, "matched_sweep": sweep, "coarse_sweep": ((1000.0, 1.02),)}
    shown |= {"road_layout": True, "held_ends": True}
    swept = replace(settings, **shown)
    again = LongDWMSettings.from_json(json.loads(json.dumps(swept.to_json())))
    assert again == swept
    assert isinstance(again.matched_sweep, SweepSettings)
    assert (settings.warp_views, swept.warp_views) == ((1, 1), (4, 6))
    with pytest.raises(ValueError, match="need backward_warp"):
        replace(swept, backward_warp=False)
    with pytest.raises(ValueError, match="baseline_frames"):
        LongDWMSettings.from_json({**swept.to_json(), "matched_sweep": {"baseline_frames": 0}})
    for wrong in ({"history_keyframes": 13}, {"fine_steps": 0}, {"guidance_scale": -1.0}):
        with pytest.raises(ValueError, match=r"history_keyframes|fine_steps|guidance_scale"):
            LongDWMSettings(image_size=(96, 144), **wrong)
    with pytest.raises(ValueError, match="unknown settings"):
        LongDWMSettings.from_json({"image_size": [96, 144], "speed": 1})
    with pytest.raises(ValueError, match="image_size"):
        LongDWMSettings.from_json({})
    for name in ("last_frame", "text", "warp", "layout"):
        with pytest.raises(ValueError, match=f"{name}_drop_ratio"):
            OpenChoices(**{f"{name}_drop_ratio": 1.5})


def test_a_pipeline_without_settings_is_refused(pipeline):
    with pytest.raises(ValueError, match="needs settings"):
        LongDWMPipeline(**pipeline.components)
