"""Captions for training: LLaVA-NeXT-Video looks at eight keyframes and fills in four lines (LongDWM, appendix B).

The pixel values are made here rather than by transformers' video processor, which needs torchvision; they are the
same: the short side resized to the model's size, the middle cropped, CLIP's normalisation.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer, LlavaNextVideoForConditionalGeneration, PreTrainedTokenizerBase

from longdwm_env import clock
from longdwm_env.errors import InvalidScene, MissingWeights
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.io.files import atomic_write_json
from longdwm_env.models.folder import check_finite, module_weights
from longdwm_env.types import MAX_SIDE_PX, Images, Scene, SceneSource

KEYFRAMES = 8
"""Keyframes that a caption is made from."""

KEYFRAME_STRIDE = clock.FPS // 2
"""Frames between them: nuScenes' keyframes come twice a second."""

VIDEO_TOKEN = "<video>"

QUESTION = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions.\n"
    f"{VIDEO_TOKEN}\n"
    "This is a video of a car driving from a front-view camera. Please answer the following questions based on the "
    "video content. Follow the output format below. Answers should be clear, not vague.\n"
    "  Weather: (e.g., sunny, cloudy, rainy, etc.)\n"
    "  Time: (e.g., daytime, nighttime, etc.)\n"
    "  Road environment:\n"
    "  Critical objects:\n"
    "ASSISTANT:"
)
"""LongDWM, Table 9."""

FIELDS = ("Weather", "Time", "Road environment", "Critical objects")

_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
_STD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)


class Annotator:
    """A LLaVA-NeXT-Video model that describes driving clips.

    Args:
        model: ``LlavaNextVideoForConditionalGeneration``.
        tokenizer: its tokenizer.
        max_new_tokens: longest answer.
    """

    def __init__(
        self,
        model: LlavaNextVideoForConditionalGeneration,
        tokenizer: PreTrainedTokenizerBase,
        max_new_tokens: int = 256,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_new_tokens = max_new_tokens
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        vision = model.config.vision_config
        self.side: int = vision.image_size
        pooled = vision.image_size // vision.patch_size // model.config.spatial_pool_stride
        self.tokens_per_frame: int = pooled**2

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | None = None, max_new_tokens: int = 256) -> "Annotator":
        """From a folder of weights (safetensors), for example LLaVA-NeXT-Video-7B's.

        Args:
            folder: where model and tokenizer are.
            device: where to run; None for a GPU where there is one.
            max_new_tokens: longest answer.

        Raises:
            MissingWeights: the folder holds no such model, or one with numbers that are not finite.
        """
        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise MissingWeights(
                f"{folder / 'config.json'} is missing; put the weights of LLaVA-NeXT-Video (for example "
                "llava-hf/LLaVA-NeXT-Video-7B-hf) in that folder"
            )
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if chosen.startswith("cuda") else torch.float32
        try:
            model = LlavaNextVideoForConditionalGeneration.from_pretrained(
                folder, use_safetensors=True, dtype=dtype, local_files_only=True
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
            raise MissingWeights(f"{folder} cannot be loaded as LLaVA-NeXT-Video: {error}") from error
        check_finite(module_weights(model), folder)
        return cls(model.to(chosen), tokenizer, max_new_tokens)

    def pixel_values(self, clip: Images) -> Tensor:
        """(T, H, W, 3) uint8 -> (T, 3, side, side), normalised as CLIP expects."""
        scale = self.side / min(clip.shape[1:3])
        size = (max(self.side, round(clip.shape[2] * scale)), max(self.side, round(clip.shape[1] * scale)))
        resized = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in clip])
        top, left = (size[1] - self.side) // 2, (size[0] - self.side) // 2
        cropped = resized[:, top : top + self.side, left : left + self.side].astype(np.float32) / 255
        return torch.from_numpy((cropped - _MEAN) / _STD).movedim(-1, 1)

    @torch.no_grad()
    def describe(self, clips: Sequence[Images]) -> list[str]:
        """One caption in the four-line form for each clip.

        Args:
            clips: B clips, uint8 (T, H, W, 3), the same T.
        """
        frames = len(clips[0])
        before, after = QUESTION.split(VIDEO_TOKEN)
        head = self.tokenizer(before, add_special_tokens=True).input_ids
        tail = self.tokenizer(after, add_special_tokens=False).input_ids
        video = [self.model.config.video_token_id] * (self.tokens_per_frame * frames)
        # Every prompt of a batch is the same, so nothing needs padding.
        ids = torch.tensor([head + video + tail] * len(clips), device=self.model.device)
        pixels = torch.stack([self.pixel_values(clip) for clip in clips]).to(self.model.device, self.model.dtype)
        made = self.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values_videos=pixels,
            max_new_tokens=self.max_new_tokens,
            do_sample=False,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        answers = self.tokenizer.batch_decode(made[:, ids.shape[1] :], skip_special_tokens=True)
        return [four_lines(answer) for answer in answers]


def four_lines(answer: str) -> str:
    """The answer's four fields, one a line; a field that it does not name is "unknown"."""
    text = answer.split("ASSISTANT:")[-1]
    starts = sorted((text.lower().find(name.lower() + ":"), name) for name in FIELDS)
    found: dict[str, str] = {}
    present = [(position, name) for position, name in starts if position >= 0]
    for index, (position, name) in enumerate(present):
        end = present[index + 1][0] if index + 1 < len(present) else len(text)
        found[name] = " ".join(text[position + len(name) + 1 : end].split()).strip(" -*")
    return "\n".join(f"{name}: {found.get(name) or 'unknown'}" for name in FIELDS)


def keyframes_of(scene: Scene) -> Images:
    """Up to eight frames, two a second, from the scene's start; fewer where the record ends sooner.

    Returns:
        uint8 (8, H, W, 3); a record that is too short repeats its last frame.
    """
    count = min(KEYFRAMES, scene.log.num_future // KEYFRAME_STRIDE + 1)
    size = (360, 640) if scene.camera is None else scene.camera.intrinsics.image_size
    if max(size) > MAX_SIDE_PX:
        raise InvalidScene(f"scene {scene.key!r} has frames of {size}, more than {MAX_SIDE_PX} pixels a side")
    camera = assumed_camera(size) if scene.camera is None else scene.camera
    frames = scene.log.images(0, (count - 1) * KEYFRAME_STRIDE + 1, camera)[::KEYFRAME_STRIDE]
    return np.concatenate([frames, np.repeat(frames[-1:], KEYFRAMES - count, axis=0)])


def annotate(
    scenes: SceneSource,
    annotator: Annotator,
    out: str | os.PathLike[str],
    indices: Sequence[int] | None = None,
    batch_size: int = 4,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, str]:
    """Caption scenes into a JSON file ``{scene key: caption}``; what the file already holds is kept and skipped.

    The file is rewritten whole after each batch, so an interrupted run goes on where it was.

    Args:
        scenes: what to caption.
        annotator: who does it.
        out: the JSON file.
        indices: which scenes; None for all.
        batch_size: scenes at once.
        progress: called with how many scenes are done after each batch, those of an earlier run included.

    Returns:
        All captions of the file.

    Raises:
        InvalidScene: the file exists but is no table of captions, or a scene cannot be read.
    """
    path = Path(out)
    captions = read_captions(path)
    wanted = range(len(scenes)) if indices is None else indices
    done = 0
    for batch in _batches(scenes, wanted, captions, batch_size):
        fresh = [scene for scene in batch if scene.key not in captions]
        if fresh:
            answers = annotator.describe([keyframes_of(scene) for scene in fresh])
            captions |= dict(zip((scene.key for scene in fresh), answers, strict=True))
            atomic_write_json(path, captions)
        done += len(batch)
        progress(done)
    return captions


def read_captions(path: Path) -> dict[str, str]:
    """The captions of a file, none where there is no file.

    Raises:
        InvalidScene: the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        captions = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidScene(f"{path} is damaged ({error}); expected a JSON table of captions") from error
    if not isinstance(captions, dict) or not all(isinstance(text, str) for text in captions.values()):
        raise InvalidScene(f"{path} is not a JSON table of captions, scene key to text")
    return captions


def _batches(scenes: SceneSource, indices: Sequence[int], captions: dict[str, str], size: int) -> Iterator[list[Scene]]:
    """Scenes in batches that hold ``size`` scenes without a caption; those with one come along."""
    batch: list[Scene] = []
    for index in indices:
        batch.append(scenes.scene(index))
        if sum(scene.key not in captions for scene in batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
