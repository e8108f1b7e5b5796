"""What one sample of either model is made from, and how."""

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from longdwm_env.geometry.camera import fit_images
from longdwm_env.geometry.layout import RoadLayout
from longdwm_env.models.closed_loop.surroundings import Surroundings
from longdwm_env.models.conditioning.denoiser_inputs import Conditioning
from longdwm_env.models.network.denoiser import StepCallback
from longdwm_env.types import Camera, FloatArray, Images, ImageSize


@dataclass(frozen=True)
class Present:
    """What one driver has seen so far.

    Attributes:
        history: uint8 (N, H, W, 3) keyframes one second apart, oldest first; the last is the present frame.
        text: (S, D) embedding of the prompt.
        before: a frame (H, W, 3) of shortly before the present one, and its pose (3,) in the present ego frame; None
            where there is none. For the matched sweep.
        layout: of the road, in the present ego frame; None where there is no map.
        boxes: (B, A, 5) where other road users are seen at present and at the new keyframes, as far as that is known,
            see ``boxes.image_boxes``; None where none are known.
        guidance_scale: the Coarse model is guided at least as strongly for this driver, whatever is asked for all; 0
            asks for nothing.
        surroundings: what is known of the next second, for pipelines with a compositor; None where that is only the
            ego's motion.
    """

    history: Images
    camera: Camera
    text: Tensor
    seed: int
    counter: int
    before: tuple[Images, FloatArray] | None = None
    layout: RoadLayout | None = None
    boxes: FloatArray | None = None
    guidance_scale: float = 0.0
    surroundings: Surroundings | None = None

    def reduced(self, image_size: ImageSize) -> "Present":
        """The same seen in smaller pictures, (height, width); itself where they have that size."""
        if self.camera.intrinsics.image_size == image_size:
            return self
        before = None if self.before is None else (fit_images(self.before[0], image_size), self.before[1])
        boxes = self.boxes
        if boxes is not None:
            scale = image_size[1] / self.camera.intrinsics.width_px
            # Pixels are counted at their middles.
            boxes = np.concatenate([(boxes[..., :4] + 0.5) * scale - 0.5, boxes[..., 4:]], axis=-1)
        return replace(
            self,
            history=fit_images(self.history, image_size),
            camera=self.camera.fitted(image_size),
            before=before,
            boxes=boxes,
        )


@dataclass(frozen=True)
class Gap:
    """The second between two keyframes.

    Attributes:
        first: uint8 (H, W, 3) the earlier keyframe.
        last: uint8 (H, W, 3) the later one.
        last_latent: (C, h, w) what ``last`` was decoded from.
        poses: (12, 3) poses of the frames after ``first``, in its ego frame.
        text: (S, D).
        counter: frames driven at ``first``.
        layout: of the road, in the ego frame of ``first``; None where there is no map.
    """

    first: Images
    last: Images
    last_latent: Tensor
    camera: Camera
    poses: FloatArray
    text: Tensor
    seed: int
    counter: int
    layout: RoadLayout | None = None


@dataclass(frozen=True)
class Sampling:
    """How to sample: steps and guidance of one call.

    Attributes:
        coarse_steps: denoising steps of the Coarse model.
        fine_steps: denoising steps of the Fine model.
        guidance_scale: classifier-free guidance; 1 switches it off.
        unconditional_text: (1, S, D), needed with guidance, that of a ``Present`` included; (B, S, D) of B videos.
        on_coarse_step: see ``Denoiser.sample``.
        on_fine_step: as ``on_coarse_step``.
    """

    coarse_steps: int
    fine_steps: int
    guidance_scale: float = 1.0
    unconditional_text: Tensor | None = None
    on_coarse_step: StepCallback | None = None
    on_fine_step: StepCallback | None = None

    def guided(self, guidance_scale: float) -> "Sampling":
        """The same, guided at least as strongly."""
        return replace(self, guidance_scale=max(guidance_scale, self.guidance_scale))

    def only(self, index: int) -> "Sampling":
        """That of one of B videos."""
        text = self.unconditional_text
        return replace(self, unconditional_text=None if text is None else text[index : index + 1])


@dataclass(frozen=True)
class CoarseInputs:
    """What the Coarse model is given for B drivers.

    Attributes:
        given: N known keyframes, and R to be made.
        pictures: uint8 (B, R, V, H, W, 3), the views before they were encoded, the matched sweep first.
    """

    given: Conditioning
    known: int
    pictures: Images

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """(N + R, C, h, w) of one sample's noise."""
        return tuple(self.given.known.shape[1:])

    def repeated(self, times: int) -> "CoarseInputs":
        """Each driver ``times`` over."""
        return replace(self, given=self.given.repeated(times))
