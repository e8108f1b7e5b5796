"""Training batches, drawn by number: sample n of a run is the same clip, moment and offset whenever it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from longdwm_env import clock
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.pose import relative_to
from longdwm_env.models.conditioning import motion_features
from longdwm_env.training.data.clip import twin_key
from longdwm_env.training.data.latents import SEGMENT_FRAMES, LatentStore, keyframe_reach
from longdwm_env.training.draws import numbers
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
        history: N.
        text: (B, W, D).
        warp: (B, R, C, h, w) the last known keyframe warped to each later one, or None.
        warp_mask: (B, R), or None.
        motion: (B, R, 6), or None.
        poses: (B, N + R, 3) of the keyframes in any one frame, or None.
        cameras: B cameras.
        rolled: whether the model's own keyframes take the place of all later ones but the last; see ``losses.rollout``.
        sweep: (B, R, S, C, h, w) the last known keyframe warped through each plane, or None.
    """

    clean: Tensor
    history: int
    text: Tensor
    warp: Tensor | None
    warp_mask: Tensor | None
    motion: Tensor | None
    poses: FloatArray | None
    cameras: tuple[Camera, ...]
    rolled: bool = False
    sweep: Tensor | None = None


@dataclass(frozen=True)
class FineBatch(Batch):
    """Segments of 13 frames as L latents.

    Attributes:
        clean: (B, L, C, h, w).
        first, last: (B, C, h, w) the end frames, each encoded alone.
        text: (B, W, D).
        warps: (B, V, L, C, h, w), or None; see ``data.latents`` for the order of the views.
        motion: (B, L, 6), or None.
        planes: S, of the sweep.
        matched: whether the last view is that of a matched sweep.
    """

    clean: Tensor
    first: Tensor
    last: Tensor
    text: Tensor
    warps: Tensor | None
    motion: Tensor | None
    planes: int = 0
    matched: bool = False

    def views(self, *, with_last: bool) -> dict[str, Tensor | None]:
        """The warped views as ``fine_conditioning`` names them: all, or those that the first frame alone gives."""
        between = self.between() if with_last else self.view(backward=False)
        return {
            "warp_first": self.view(backward=False),
            "warp_last": self.view(backward=True) if with_last else None,
            "sweep_first": self.sweep(backward=False),
            "sweep_last": self.sweep(backward=True) if with_last else None,
            "between": between if self.matched else None,
        }

    def between(self) -> Tensor | None:
        """(B, L, C, h, w) the matched sweep, or None."""
        return self.warps[:, -1] if self.warps is not None and self.matched else None

    def view(self, backward: bool) -> Tensor | None:
        """(B, L, C, h, w) the warp from one end, or None."""
        if self.warps is None or self.warps.shape[1] - self.matched <= backward:
            return None
        return self.warps[:, int(backward)]

    def sweep(self, backward: bool) -> Tensor | None:
        """(B, L, S, C, h, w) the sweep from one end, or None."""
        if self.warps is None or not self.planes:
            return None
        ends = (self.warps.shape[1] - self.matched) // (1 + self.planes)
        if backward and ends < 2:
            return None
        first = ends + backward * self.planes
        return self.warps[:, first : first + self.planes].transpose(1, 2)


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


@dataclass(frozen=True)
class Window:
    """One kind of coarse sample.

    Attributes:
        history: known keyframes.
        future: keyframes to make.
        weight: how often, relative to the other windows.
        rolled: let the model itself make all of ``future`` but the last, and train on the last; see ``losses.rollout``.
        switched: the older part of the history, up to all of it, is of the clip's twin, so that the picture turns into
            what the prompt says. Drawn from clips that have a twin.
    """

    history: int
    future: int
    weight: float = 1.0
    rolled: bool = False
    switched: bool = False

    def __post_init__(self) -> None:
        if self.history < 1 or self.future < 1 or self.weight <= 0:
            raise InvalidConfig(
                f"a window has at least one known and one new keyframe and a weight above 0, got {self}"
            )
        if self.rolled and self.future < 2:
            raise InvalidConfig(
                f"a rolled window makes at least two keyframes, the last of which is trained, got {self}"
            )


class CoarseSampler:
    """Draws coarse batches from a store of latents.

    Args:
        store: of latents.
        windows: which kinds of samples; all samples of a step are of one kind.
        seed: of the run.
    """

    def __init__(self, store: LatentStore, windows: Sequence[Window], seed: int) -> None:
        self.store, self.seed, self.windows = store, seed, tuple(windows)
        self._places: dict[tuple[int, bool], list[tuple[int, int, int]]] = {}
        by_key = {entry.facts["key"]: clip for clip, entry in enumerate(store.entries)}
        self._twins = {clip: by_key[twin_key(key)] for key, clip in by_key.items() if twin_key(key) in by_key}
        self._twins |= {twin: clip for clip, twin in self._twins.items()}
        self.windows = tuple(window for window in self.windows if self._twins or not window.switched)
        if not self.windows:
            raise InvalidConfig(f"switched windows need clips with twins, and {store.folder} has none")
        for window in self.windows:
            length = window.history + window.future
            if (length, window.switched) not in self._places:
                self._places[length, window.switched] = [
                    (clip, phase, start)
                    for clip, entry in enumerate(store.entries)
                    if not window.switched or clip in self._twins
                    for phase, grid in enumerate(entry.facts["keyframes"])
                    for start in range(grid["count"] - length + 1)
                ]
            if not self._places[length, window.switched]:
                raise InvalidConfig(
                    f"no clip in {store.folder} is {length} keyframes long, as {window} needs; record longer clips"
                )
        weights = np.array([window.weight for window in self.windows])
        self._shares = weights / weights.sum()

    def window(self, step: int) -> Window:
        """The kind of all samples of a step."""
        return self.windows[numbers(self.seed, step, "window").choice(len(self.windows), p=self._shares)]

    def batch(self, step: int, counts: Sequence[int]) -> CoarseBatch:
        """The samples with these running numbers, for one step."""
        window = self.window(step)
        places = self._places[window.history + window.future, window.switched]
        drawn = [places[numbers(self.seed, count, "place").integers(len(places))] for count in counts]
        return self.at(drawn, window, counts)

    def at(self, places: Sequence[tuple[int, int, int]], window: Window, counts: Sequence[int]) -> CoarseBatch:
        """The samples at (clip, phase, first keyframe)."""
        store, length, last = self.store, window.history + window.future, window.history - 1
        clean = torch.stack([store.rows(c, f"keyframes.{p}", slice(k, k + length)) for c, p, k in places])
        text = torch.stack([store.tensor(c, "text") for c, _, _ in places])
        cameras = tuple(store.camera(c) for c, _, _ in places)
        if not store.has_poses:
            return CoarseBatch(
                tuple(counts), clean, window.history, text, None, None, None, None, cameras, window.rolled
            )
        poses = np.stack([self._poses(*place, length) for place in places])
        seen = list(places)
        if window.switched:
            for row, ((clip, phase, start), count) in enumerate(zip(places, counts, strict=True)):
                # Half of the samples are the moment of change, when nothing seen so far looks like the prompt.
                rng = numbers(self.seed, count, "switch")
                old = window.history if rng.random() < 0.5 else int(rng.integers(1, window.history + 1))
                twin = self._twins[clip]
                clean[row, :old] = store.rows(twin, f"keyframes.{phase}", slice(start, start + old))
                if old == window.history:
                    seen[row] = (twin, phase, start)
        warps = [self._to_each(f"keyframe_warps.{p}", c, k + last, window.future) for c, p, k in seen]
        sweep = None
        if store.made_from["warp"].get("coarse_sweep") or store.made_from["warp"].get("matched_sweep"):
            sweep = torch.stack([self._to_each(f"keyframe_sweep.{p}", c, k + last, window.future) for c, p, k in seen])
        reach = min(keyframe_reach(store.made_from["warp"]["horizon_s"]), window.future)
        mask = torch.zeros(len(places), window.future)
        mask[:, :reach] = float(store.made_from["warp"]["horizon_s"] >= clock.INTERVAL_S)
        motion = torch.stack(
            [torch.from_numpy(motion_features(relative_to(own[last + 1 :], own[last]))) for own in poses]
        )
        return CoarseBatch(
            tuple(counts),
            clean,
            window.history,
            text,
            torch.stack(warps),
            mask,
            motion,
            poses,
            cameras,
            window.rolled,
            sweep,
        )

    def _to_each(self, name: str, clip: int, keyframe: int, future: int) -> Tensor:
        """(future, ...): a keyframe's rows of warps; past the horizon the last one is repeated."""
        rows = self.store.rows(clip, name, keyframe)[:future]
        return torch.cat([rows, rows[-1:].expand(future - len(rows), *rows.shape[1:])])

    def _poses(self, clip: int, phase: int, start: int, length: int) -> np.ndarray:
        step, offset = clock.FRAMES_PER_INTERVAL, self.store.entries[clip].facts["keyframes"][phase]["offset"]
        poses: np.ndarray = self.store.tensor(clip, "poses").numpy()
        return poses[offset + step * start : offset + step * (start + length - 1) + 1 : step]


class FineSampler:
    """Draws segments from a store of latents.

    Args:
        store: of latents.
        last_frames: the frame of a segment that each latent frame ends on (``Codec.last_frames``).
        seed: of the run.
    """

    def __init__(self, store: LatentStore, last_frames: Sequence[int], seed: int) -> None:
        self.store, self.seed, self.last_frames = store, seed, tuple(last_frames)
        self._places = [(c, s) for c, entry in enumerate(store.entries) for s in range(entry.facts["intervals"])]

    def batch(self, step: int, counts: Sequence[int]) -> FineBatch:
        """The samples with these running numbers."""
        del step
        drawn = [self._places[numbers(self.seed, n, "place").integers(len(self._places))] for n in counts]
        return self.at(drawn, counts)

    def at(self, places: Sequence[tuple[int, int]], counts: Sequence[int]) -> FineBatch:
        """The segments at (clip, interval)."""
        store = self.store
        ends = [store.rows(c, "keyframes.0", slice(s, s + 2)) for c, s in places]
        clean = torch.stack([store.rows(c, "segments", s) for c, s in places])
        warps = motion = None
        if store.has_poses:
            warps = torch.stack([store.rows(c, "segment_warps", s) for c, s in places])
            motion = torch.stack([self._motion(c, s) for c, s in places])
        return FineBatch(
            tuple(counts),
            clean,
            torch.stack([end[0] for end in ends]),
            torch.stack([end[1] for end in ends]),
            torch.stack([store.tensor(c, "text") for c, _ in places]),
            warps,
            motion,
            len(store.made_from["warp"].get("fine_sweep", [])),
            bool(store.made_from["warp"].get("matched_sweep")),
        )

    def _motion(self, clip: int, interval: int) -> Tensor:
        first = interval * clock.FRAMES_PER_INTERVAL
        poses = self.store.rows(clip, "poses", slice(first, first + SEGMENT_FRAMES)).numpy()
        return torch.from_numpy(motion_features(relative_to(poses, poses[0])[list(self.last_frames)]))


class DistillSampler:
    """Draws whole clips of ``keyframes`` keyframes with the segments between them (LongDWM, Eq. 7).

    Args:
        store: of latents.
        last_frames: see ``FineSampler``.
        seed: of the run.
        keyframes: K; 13 in the paper.
        history: known keyframes of the student; 1 in the paper.
    """

    def __init__(
        self, store: LatentStore, last_frames: Sequence[int], seed: int, keyframes: int = 13, history: int = 1
    ) -> None:
        self.window = Window(history, keyframes - history)
        self._coarse = CoarseSampler(store, [self.window], seed)
        self._fine = FineSampler(store, last_frames, seed)
        self._places = [
            (c, s) for c, entry in enumerate(store.entries) for s in range(entry.facts["intervals"] - keyframes + 2)
        ]
        self.seed = seed

    def batch(self, step: int, counts: Sequence[int]) -> DistillBatch:
        """The samples with these running numbers."""
        del step
        drawn = [self._places[numbers(self.seed, n, "place").integers(len(self._places))] for n in counts]
        segments = [(c, s + k) for c, s in drawn for k in range(self.window.history + self.window.future - 1)]
        coarse = self._coarse.at([(c, 0, s) for c, s in drawn], self.window, counts)
        per_segment = [n for n in counts for _ in range(len(segments) // len(drawn))]
        return DistillBatch(tuple(counts), coarse, self._fine.at(segments, per_segment))


__all__ = [
    "Batch",
    "CoarseBatch",
    "CoarseSampler",
    "DistillBatch",
    "DistillSampler",
    "FineBatch",
    "FineSampler",
    "Window",
]
