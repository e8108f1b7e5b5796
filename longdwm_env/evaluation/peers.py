"""Other video models behind one small protocol, rolled out one from the other (LongDWM, Table 11)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import diffusers
import numpy as np
import PIL.Image
import torch
from diffusers import DiffusionPipeline
from torch import nn

from longdwm_env.errors import InvalidConfig, MissingWeights
from longdwm_env.geometry.camera import fit_images
from longdwm_env.models.folder import check_components_finite
from longdwm_env.types import Images, ImageSize


class Peer(Protocol):
    """A model that continues a video by a fixed number of frames."""

    @property
    def name(self) -> str:
        """In tables."""
        ...

    image_size: ImageSize
    frames_per_rollout: int
    """Frames of one rollout, those it is conditioned on included (LongDWM, Table 11)."""
    conditioning_frames: int
    """Frames from the end of the last rollout that the next one starts from."""

    def rollout(self, frames: Images, prompt: str, seed: int) -> Images:
        """One rollout.

        Args:
            frames: uint8 (n, H, W, 3), 1 <= n <= ``conditioning_frames``: what to go on from.
            prompt: caption; ignored by models without text.
            seed: of the noise.

        Returns:
            uint8 (n + new, H, W, 3), ``frames_per_rollout`` in all; the first n are those given.
        """
        ...


def roll_out(peer: Peer, image: Images, num_frames: int, prompt: str = "", seed: int = 0) -> Iterator[Images]:
    """A long video by rolling a peer out again and again from its own last frames.

    Args:
        peer: the model.
        image: uint8 (H, W, 3), at any size.
        num_frames: frames to make after the image.
        prompt: caption.
        seed: of the first rollout; each later one has the next.

    Yields:
        uint8 (T, H, W, 3): the new frames of each rollout.
    """
    known = fit_images(image[None], peer.image_size)
    made = rollouts = 0
    while made < num_frames:
        whole = peer.rollout(known, prompt, seed + rollouts)
        new = whole[len(known) :][: num_frames - made]
        if not len(new):
            raise ValueError(f"{peer.name} made no new frame from {len(known)}")
        yield new
        known = np.concatenate([known, new])[-peer.conditioning_frames :]
        made, rollouts = made + len(new), rollouts + 1


@dataclass(frozen=True)
class PeerKind:
    """How to call one of diffusers' image-to-video pipelines.

    Attributes:
        pipeline: name of its class in diffusers, which is imported when it is used: some say things when they are.
        frames_per_rollout: of Table 11.
        image_size: (height, width) that it was trained for.
        has_text: whether it takes a prompt.
    """

    pipeline: str
    frames_per_rollout: int
    image_size: ImageSize
    has_text: bool
    num_steps: int


def _name_text_model(text_encoder: nn.Module) -> None:
    """Give CLIP's text encoder the name that I2VGenXLPipeline asks for its last normalisation under.

    transformers 5 took the level ``text_model`` out of ``CLIPTextModel``; diffusers 0.42's pipeline still goes through
    it.
    """
    if not hasattr(text_encoder, "text_model"):
        # Past nn.Module's own __setattr__, which would make the encoder a part of itself.
        object.__setattr__(text_encoder, "text_model", text_encoder)


PeerName = Literal["svd", "i2vgen-xl", "cogvideox-i2v"]

PEERS: dict[str, PeerKind] = {
    "svd": PeerKind("StableVideoDiffusionPipeline", 25, (576, 1024), has_text=False, num_steps=25),
    "i2vgen-xl": PeerKind("I2VGenXLPipeline", 25, (704, 1280), has_text=True, num_steps=50),
    "cogvideox-i2v": PeerKind("CogVideoXImageToVideoPipeline", 49, (480, 720), has_text=True, num_steps=50),
}
"""LongDWM, Table 11. All go on from one frame. (DynamiCrafter and Vista have no pipeline in diffusers.)"""


class DiffusersPeer:
    """One of ``PEERS``.

    Args:
        name: which.
        pipeline: loaded, on its device.
        image_size: None for the size that it was trained for.
        frames_per_rollout: None for Table 11's.
        num_steps: None for its authors' default.
        arguments: further arguments of the pipeline's call.
    """

    conditioning_frames = 1

    def __init__(
        self,
        name: PeerName,
        pipeline: DiffusionPipeline,
        image_size: ImageSize | None = None,
        frames_per_rollout: int | None = None,
        num_steps: int | None = None,
        arguments: dict[str, object] | None = None,
    ) -> None:
        if name not in PEERS:
            raise InvalidConfig(f"no peer {name!r}; there are {', '.join(PEERS)}")
        kind = PEERS[name]
        self.name = name
        self.pipeline = pipeline
        self.image_size = kind.image_size if image_size is None else image_size
        self.frames_per_rollout = kind.frames_per_rollout if frames_per_rollout is None else frames_per_rollout
        self._kind = kind
        self._steps = kind.num_steps if num_steps is None else num_steps
        self._arguments = {} if arguments is None else dict(arguments)
        if name == "i2vgen-xl":
            _name_text_model(pipeline.text_encoder)

    @classmethod
    def from_folder(
        cls, name: PeerName, folder: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32, **options: Any
    ) -> "DiffusersPeer":
        """From a local folder; nothing is fetched.

        Args:
            name: which peer.
            folder: where its pipeline was saved, as safetensors.
            device: where it runs.
            dtype: of its weights.
            options: as in the class.

        Raises:
            InvalidConfig: there is no such peer.
            MissingWeights: the folder does not hold that pipeline, or weights that are not finite.
        """
        if name not in PEERS:
            raise InvalidConfig(f"no peer {name!r}; there are {', '.join(PEERS)}")
        expected = PEERS[name].pipeline
        if not (Path(folder) / "model_index.json").is_file():
            raise MissingWeights(f"{folder} has no model_index.json; expected a saved {expected}")
        try:
            kind: type[DiffusionPipeline] = getattr(diffusers, expected)
            pipeline = kind.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        except (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
            raise MissingWeights(f"{folder} cannot be loaded as a {expected}: {error}") from error
        check_components_finite(pipeline.components, folder)
        return cls(name, pipeline.to(device=device, dtype=dtype), **options)

    @torch.no_grad()
    def rollout(self, frames: Images, prompt: str, seed: int) -> Images:
        """See ``Peer.rollout``."""
        height, width = self.image_size
        text = {"prompt": prompt} if self._kind.has_text else {}
        # Not every pipeline draws all its noise from the generator: I2VGen-XL's autoencoder asks PyTorch's own.
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            made = self.pipeline(
                image=PIL.Image.fromarray(frames[-1]),
                height=height,
                width=width,
                num_frames=self.frames_per_rollout,
                num_inference_steps=self._steps,
                generator=torch.Generator("cpu").manual_seed(seed),
                output_type="np",
                **text,
                **self._arguments,
            ).frames[0]
        clip = (np.asarray(made) * 255).round().clip(0, 255).astype(np.uint8)
        return np.concatenate([frames[-1:], fit_images(clip[1:], self.image_size)])
