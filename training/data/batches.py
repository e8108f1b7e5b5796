"""Training batches: what the objectives are given, and how they tell it to the models."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from longdwm_env.types import Camera, FloatArray

BatchT = TypeVar("BatchT", bound="Batch")


@dataclass(frozen=True)
class Batch:
    """B samples. ``counts`` are their running numbers in the run, which their noise is drawn from."""

    counts: tuple[int, ...]

    def to(self: BatchT, device: torch.device | str) -> BatchT:
        """Every tensor on a device."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, torch.Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class CoarseBatch(Batch):
    """Keyframes of which the first ``history`` are known.

    Attributes:
        clean: (B, N + R, C, h, w).
        text: (B, W, D).
        warp: (B, R, C, h, w) the last known keyframe warped to each later one, or None.
        warp_mask: (B, R), or None.
        motion: (B, R, 6), or None.
        poses: (B, N + R, 3) of the keyframes in any one frame, or None.
        self_rollout: whether the model's own keyframes take the place of all later ones but the last.
        further: (B, R, S, C, h, w) its other views, or None.
        layout: (B, R, C, h, w) the road's layout at each later keyframe, or None where none of the clips has one.
        layout_mask: (B, R), or None as ``layout``.
        boxes: B arrays (N + R, A, 5) of where others are seen in the keyframes, or None where none were marked; empty
            for views in which none is moved.
    """

    clean: Tensor
    history: int
    text: Tensor
    warp: Tensor | None
    warp_mask: Tensor | None
    motion: Tensor | None
    poses: FloatArray | None
    cameras: tuple[Camera, ...]
    self_rollout: bool = False
    further: Tensor | None = None
    layout: Tensor | None = None
    layout_mask: Tensor | None = None
    boxes: tuple[FloatArray | None, ...] = ()

    def views(self, *, with_layout: bool, with_warp: bool = True) -> dict[str, Tensor | None]:
        """What is given beside history and text, as ``coarse_conditioning`` names it.

        Args:
            with_layout: for a model that knows layouts; where no clip has one, a mask says so.
            with_warp: False tells no trajectory, and so no layout either, which is seen from it.
        """
        given: dict[str, Tensor | None] = {}
        if with_warp:
            given = {name: getattr(self, name) for name in ("warp", "warp_mask", "motion", "further")}
        if with_layout and given.get("warp") is not None:
            made = self.clean[:, self.history :]
            given["layout"] = torch.zeros_like(made) if self.layout is None else self.layout
            given["layout_mask"] = made.new_zeros(made.shape[:2]) if self.layout_mask is None else self.layout_mask
        return given


@dataclass(frozen=True)
class FineBatch(Batch):
    """Segments of 13 frames as L latents.

    Attributes:
        clean: (B, L, C, h, w).
        first, last: (B, C, h, w) the end frames, each encoded alone.
        text: (B, W, D).
        warps: (B, V, L, C, h, w), or None; see ``warped.clip_views`` for the order of the views.
        motion: (B, L, 6), or None.
        matched: whether the last view is that of a matched sweep.
        layout: (B, L, C, h, w) the road's layout at each moment, zeros where a clip has none.
        layout_mask: (B, L).
        keyframes: the last few keyframes up to ``first``, and ``last`` as the one to make, for the Coarse model to take
            its place; see ``losses.own_keyframes``. None where the recorded one is to be used.
        poses: (B, 13, 3) of the frames in the ego frame of the first, or None.
    """

    clean: Tensor
    first: Tensor
    last: Tensor
    text: Tensor
    warps: Tensor | None
    motion: Tensor | None
    matched: bool = False
    layout: Tensor | None = None
    layout_mask: Tensor | None = None
    keyframes: CoarseBatch | None = None
    poses: FloatArray | None = None

    def to(self, device: torch.device | str) -> "FineBatch":
        """Every tensor on a device."""
        moved = super().to(device)
        return moved if self.keyframes is None else replace(moved, keyframes=self.keyframes.to(device))

    def views(self, *, with_last: bool, with_layout: bool, with_warp: bool = True) -> dict[str, Tensor | None]:
        """The views as ``fine_conditioning`` names them.

        Args:
            with_last: False leaves those that need the last frame.
            with_layout: for a model that knows layouts; where no clip has one, a mask says so.
            with_warp: False tells no trajectory, and so no layout either, which is seen from it.
        """
        given = self._warps(with_last=with_last) if with_warp else {}
        if with_layout and given:
            given["layout"] = torch.zeros_like(self.clean) if self.layout is None else self.layout
            given["layout_mask"] = self.clean.new_zeros(self.clean.shape[:2])
            if self.layout_mask is not None:
                given["layout_mask"] = self.layout_mask
        return given

    def _warps(self, *, with_last: bool) -> dict[str, Tensor | None]:
        if self.warps is None:
            return {}
        forward = self.warps[:, 0]
        has_backward = self.warps.shape[1] - self.matched > 1
        between = self.warps[:, -1] if with_last else forward
        return {
            "warp_first": forward,
            "warp_last": self.warps[:, 1] if with_last and has_backward else None,
            "between": between if self.matched else None,
        }


@dataclass(frozen=True)
class DistillBatch(Batch):
    """Clips of 12 * 11 + 13 = 145 frames: 12 segments whose ends are the 13 keyframes (LongDWM, Eq. 7).

    Attributes:
        coarse: the 13 keyframes, one of them known.
        fine: the B * 12 segments, clip by clip.
    """

    coarse: CoarseBatch
    fine: FineBatch

    def to(self, device: torch.device | str) -> "DistillBatch":
        """Every tensor on a device."""
        return replace(self, coarse=self.coarse.to(device), fine=self.fine.to(device))
