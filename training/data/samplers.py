"""Training batches, drawn by number: sample n of a run is the same clip, moment and offset whenever it is asked for."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from longdwm_env import clock
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.pose import relative_to
from longdwm_env.models.conditioning.denoiser_inputs import motion_features
from longdwm_env.models.conditioning.warped_pictures import keyframe_reach
from longdwm_env.training.data.batches import CoarseBatch, DistillBatch, FineBatch
from longdwm_env.training.data.clip import twin_key
from longdwm_env.training.data.encoded.latents import SEGMENT_FRAMES, LatentStore
from longdwm_env.training.data.places import Segment, layout_of, moment, segments_of, text_at
from longdwm_env.training.data.windows import Window
from longdwm_env.training.draws import numbers
from longdwm_env.types import FloatArray


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
        self.windows = tuple(window for window in self.windows if self._twins or not window.needs_twin)
        if not self.windows:
            raise InvalidConfig(
                f"prompt-switched and restyled windows need paired clips (twins), and {store.folder} has none"
            )
        for window in self.windows:
            length = window.history + window.future
            if (length, window.needs_twin) not in self._places:
                self._places[length, window.needs_twin] = [
                    (clip, phase, start)
                    for clip, entry in enumerate(store.entries)
                    if not window.needs_twin or clip in self._twins
                    for phase, grid in enumerate(entry.facts["keyframes"])
                    for start in range(grid["count"] - length + 1)
                ]
            if not self._places[length, window.needs_twin]:
                raise InvalidConfig(
                    f"no clip in {store.folder} is {length} keyframes long, as {window} needs; record longer clips"
                )
        weights = np.array([window.weight for window in self.windows])
        self._shares = weights / weights.sum()

    def distinct(self, window: Window) -> int:
        """How many different samples of a kind there are: those of clips that overlap are counted once."""
        places = self._places[window.history + window.future, window.needs_twin]
        return len({moment(self.store, c, self._frame(c, p, k)) for c, p, k in places})

    def _frame(self, clip: int, phase: int, keyframe: int) -> int:
        """The clip's frame that a keyframe is."""
        offset: int = self.store.entries[clip].facts["keyframes"][phase]["offset"]
        return offset + clock.FRAMES_PER_INTERVAL * keyframe

    def window(self, step: int) -> Window:
        """The kind of all samples of a step."""
        return self.windows[numbers(self.seed, step, "window").choice(len(self.windows), p=self._shares)]

    def batch(self, step: int, counts: Sequence[int]) -> CoarseBatch:
        """The samples with these running numbers, for one step."""
        window = self.window(step)
        places = self._places[window.history + window.future, window.needs_twin]
        drawn = [places[numbers(self.seed, count, "place").integers(len(places))] for count in counts]
        return self.at(drawn, window, counts)

    def at(self, places: Sequence[tuple[int, int, int]], window: Window, counts: Sequence[int]) -> CoarseBatch:
        """The samples at (clip, phase, first keyframe)."""
        if window.restyled:
            return self._redrawn(places, counts)
        store, length, last = self.store, window.history + window.future, window.history - 1
        clean = torch.stack([store.rows(c, f"keyframes.{p}", slice(k, k + length)) for c, p, k in places])
        # What is said at the moment that is gone on from.
        text = torch.stack([text_at(store, c, self._frame(c, p, k + last)) for c, p, k in places])
        cameras = tuple(store.camera(c) for c, _, _ in places)
        if not store.has_poses:
            return CoarseBatch(
                tuple(counts), clean, window.history, text, None, None, None, None, cameras, window.self_rollout
            )
        poses = np.stack([self._poses(*place, length) for place in places])
        seen = list(places)
        if window.prompt_switched:
            for row, ((clip, phase, start), count) in enumerate(zip(places, counts, strict=True)):
                # Half of the samples are the moment of change, when nothing seen so far looks like the prompt.
                rng = numbers(self.seed, count, "switch")
                old = window.history if rng.random() < 0.5 else int(rng.integers(1, window.history + 1))
                twin = self._twins[clip]
                clean[row, :old] = store.rows(twin, f"keyframes.{phase}", slice(start, start + old))
                if old == window.history:
                    seen[row] = (twin, phase, start)
        views = torch.stack([self._to_each(f"keyframe_views.{p}", c, k + last, window.future) for c, p, k in seen])
        reach = min(keyframe_reach(store.made_from["warp"]["horizon_s"]), window.future)
        mask = torch.zeros(len(places), window.future)
        mask[:, :reach] = float(store.made_from["warp"]["horizon_s"] >= clock.INTERVAL_S)
        motion = torch.stack(
            [torch.from_numpy(motion_features(relative_to(own[last + 1 :], own[last]))) for own in poses]
        )
        made = [(c, p, slice(k + window.history, k + length)) for c, p, k in places]
        layouts = [self._layout(*keyframes) for keyframes in made]
        return CoarseBatch(
            tuple(counts),
            clean,
            window.history,
            text,
            views[:, :, 0],
            mask,
            motion,
            poses,
            cameras,
            window.self_rollout,
            views[:, :, 1:] if views.shape[2] > 1 else None,
            torch.stack([layout for layout, _ in layouts]),
            torch.stack([known for _, known in layouts]),
            tuple(self._boxes(c, p, slice(k, k + length)) for c, p, k in places),
        )

    def _redrawn(self, places: Sequence[tuple[int, int, int]], counts: Sequence[int]) -> CoarseBatch:
        """The first keyframes at (clip, phase, first keyframe), each after its twin, seen from the same place."""
        store = self.store
        made = [(c, p, slice(k, k + 1)) for c, p, k in places]
        drawn = torch.stack([store.rows(c, f"keyframes.{p}", keyframe) for c, p, keyframe in made])
        seen = torch.stack([store.rows(self._twins[c], f"keyframes.{p}", keyframe) for c, p, keyframe in made])
        text = torch.stack([text_at(store, c, self._frame(c, p, k)) for c, p, k in places])
        cameras = tuple(store.camera(c) for c, _, _ in places)
        batch = CoarseBatch(tuple(counts), torch.cat([seen, drawn], dim=1), 1, text, None, None, None, None, cameras)
        if not store.has_poses:
            return batch
        layouts = [self._layout(*keyframe) for keyframe in made]
        # From where it is, every plane shows a picture as it is.
        further = store.rows(places[0][0], f"keyframe_views.{places[0][1]}", 0).shape[1] - 1
        return replace(
            batch,
            warp=seen,
            warp_mask=torch.full((len(places), 1), float(store.made_from["warp"]["horizon_s"] >= clock.INTERVAL_S)),
            motion=torch.from_numpy(motion_features(np.zeros((1, 3)))).expand(len(places), -1, -1),
            further=seen[:, :, None].expand(-1, -1, further, -1, -1, -1) if further else None,
            layout=torch.stack([layout for layout, _ in layouts]),
            layout_mask=torch.stack([known for _, known in layouts]),
        )

    def _layout(self, clip: int, phase: int, keyframes: slice) -> tuple[Tensor, Tensor]:
        """The road at some keyframes, (R, C, h, w), and where it is known, (R,)."""
        return layout_of(self.store, clip, "keyframe", f".{phase}", f"keyframes.{phase}", keyframes)

    def _boxes(self, clip: int, phase: int, keyframes: slice) -> FloatArray | None:
        """Where other road users are seen in some keyframes, (N + R, A, 5)."""
        if not self.store.entries[clip].facts.get("has_boxes", False):
            return None
        boxes: FloatArray = self.store.rows(clip, f"keyframe_boxes.{phase}", keyframes).numpy().astype(np.float64)
        return boxes

    def _to_each(self, name: str, clip: int, keyframe: int, future: int) -> Tensor:
        """(future, ...): a keyframe's rows of warps; past the horizon the last one is repeated."""
        rows = self.store.rows(clip, name, keyframe)[:future]
        return torch.cat([rows, rows[-1:].expand(future - len(rows), *rows.shape[1:])])

    def _poses(self, clip: int, phase: int, start: int, length: int) -> np.ndarray:
        first, last = (self._frame(clip, phase, keyframe) for keyframe in (start, start + length - 1))
        poses: np.ndarray = self.store.tensor(clip, "poses").numpy()
        return poses[first : last + 1 : clock.FRAMES_PER_INTERVAL]


class FineSampler:
    """Draws segments from a store of latents.

    Args:
        store: of latents.
        last_frames: the frame of a segment that each latent frame ends on (``Codec.last_frames``).
        seed: of the run.
        own_keyframes_ratio: share of the steps whose later keyframes the Coarse model shall make.
        history: how many keyframes it knows then.
    """

    def __init__(
        self,
        store: LatentStore,
        last_frames: Sequence[int],
        seed: int,
        own_keyframes_ratio: float = 0.0,
        history: int = 1,
    ) -> None:
        self.store, self.seed, self.last_frames = store, seed, tuple(last_frames)
        self._own_ratio, self._window = own_keyframes_ratio, Window(history, 1)
        if own_keyframes_ratio > 0 and not store.has_poses:
            raise InvalidConfig(f"own keyframes need clips with poses, and those in {store.folder} have none")
        self._keyframes = CoarseSampler(store, [self._window], seed) if own_keyframes_ratio > 0 else None
        self._places = [(clip, n) for clip in range(len(store)) for n in range(len(segments_of(store, clip)))]
        # The Coarse model needs as many keyframes before as it drives with, and they lie on whole seconds.
        self._with_history = [
            (clip, number)
            for clip, number in self._places
            if history - 1 <= number < store.entries[clip].facts["intervals"]
        ]

    @property
    def distinct(self) -> int:
        """How many different samples there are: those of clips that overlap are counted once."""
        return len({moment(self.store, clip, segments_of(self.store, clip)[n].first) for clip, n in self._places})

    def batch(self, step: int, counts: Sequence[int]) -> FineBatch:
        """The samples with these running numbers, for one step."""
        are_own = self._own_ratio > 0 and numbers(self.seed, step, "own keyframes").random() < self._own_ratio
        places = self._with_history if are_own else self._places
        drawn = [places[numbers(self.seed, n, "place").integers(len(places))] for n in counts]
        batch = self.at(drawn, counts)
        return self.with_keyframes(batch, drawn) if are_own else batch

    def with_keyframes(self, batch: FineBatch, places: Sequence[tuple[int, int]]) -> FineBatch:
        """A batch of segments at (clip, interval) whose later keyframes the Coarse model shall make."""
        assert self._keyframes is not None
        before = [(clip, 0, interval - self._window.history + 1) for clip, interval in places]
        keyframes = self._keyframes.at(before, self._window, batch.counts)
        poses = np.stack([self._poses(clip, segments_of(self.store, clip)[number]) for clip, number in places])
        return replace(batch, keyframes=keyframes, poses=poses)

    def at(self, places: Sequence[tuple[int, int]], counts: Sequence[int]) -> FineBatch:
        """The segments at (clip, number): the clip's intervals, and after them what begins within a second."""
        store = self.store
        found = [(clip, segments_of(store, clip)[number]) for clip, number in places]
        ends = [store.rows(c, s.ends, slice(s.row, s.row + 2)) for c, s in found]
        clean = torch.stack([store.rows(c, f"segments{s.suffix}", s.row) for c, s in found])
        warps = motion = None
        if store.has_poses:
            warps = torch.stack([store.rows(c, f"segment_warps{s.suffix}", s.row) for c, s in found])
            motion = torch.stack([self._motion(*segment) for segment in found])
        layouts = [self._layout(*segment) for segment in found]
        return FineBatch(
            tuple(counts),
            clean,
            torch.stack([end[0] for end in ends]),
            torch.stack([end[1] for end in ends]),
            torch.stack([text_at(store, c, s.first) for c, s in found]),
            warps,
            motion,
            store.made_from["warp"]["matched_sweep"] is not None,
            torch.stack([layout for layout, _ in layouts]),
            torch.stack([known for _, known in layouts]),
        )

    def _layout(self, clip: int, segment: Segment) -> tuple[Tensor, Tensor]:
        """The road during a segment, (L, C, h, w), and where it is known, (L,)."""
        suffix = segment.suffix
        return layout_of(self.store, clip, "segment", suffix, f"segments{suffix}", segment.row)

    def _motion(self, clip: int, segment: Segment) -> Tensor:
        return torch.from_numpy(motion_features(self._poses(clip, segment)[list(self.last_frames)]))

    def _poses(self, clip: int, segment: Segment) -> FloatArray:
        """(13, 3) in the ego frame of the first frame."""
        poses = self.store.rows(clip, "poses", slice(segment.first, segment.first + SEGMENT_FRAMES)).numpy()
        return relative_to(poses, poses[0])


class DistillSampler:
    """Draws whole clips of ``keyframes`` keyframes with the segments between them (LongDWM, Eq. 7).

    Args:
        store: of latents.
        last_frames: see ``FineSampler``.
        seed: of the run.
        keyframes: K; 13 in the paper.
    """

    def __init__(self, store: LatentStore, last_frames: Sequence[int], seed: int, keyframes: int = 13) -> None:
        self.window = Window(1, keyframes - 1)
        self._coarse = CoarseSampler(store, [self.window], seed)
        self._fine = FineSampler(store, last_frames, seed)
        self._places: list[tuple[int, int, int, int]] = []
        for clip, entry in enumerate(store.entries):
            begins = {segment.first: number for number, segment in enumerate(segments_of(store, clip))}
            for phase, grid in enumerate(entry.facts["keyframes"]):
                first = [begins.get(grid["offset"] + clock.FRAMES_PER_INTERVAL * k) for k in range(grid["count"] - 1)]
                # One after the other, a second apart, as many as lie between the keyframes.
                self._places += [
                    (clip, phase, start, begin)
                    for start, begin in enumerate(first[: max(len(first) - keyframes + 2, 0)])
                    if begin is not None
                ]
        self.seed = seed

    @property
    def distinct(self) -> int:
        """How many different samples there are: those of clips that overlap are counted once."""
        return len(
            {moment(self._fine.store, c, segments_of(self._fine.store, c)[n].first) for c, _, _, n in self._places}
        )

    def batch(self, step: int, counts: Sequence[int]) -> DistillBatch:
        """The samples with these running numbers."""
        del step
        drawn = [self._places[numbers(self.seed, n, "place").integers(len(self._places))] for n in counts]
        between = self.window.history + self.window.future - 1
        segments = [(clip, first + k) for clip, _, _, first in drawn for k in range(between)]
        coarse = self._coarse.at([(clip, phase, start) for clip, phase, start, _ in drawn], self.window, counts)
        fine = self._fine.at(segments, [n for n in counts for _ in range(between)])
        # Student and teacher are given the same.
        return DistillBatch(tuple(counts), coarse, replace(fine, text=coarse.text.repeat_interleave(between, dim=0)))
