"""Teaching a street that is carried on the tones of one road: pairs of what it shows and what was there, and the steps.

The last eighth of the pairs is not learned from: the network is kept as it was where it did best there, and training
ends when that is long ago.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors.torch import load_file, save
from torch import Tensor

from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.street_view import StreetView
from longdwm_env.io.files import atomic_write_bytes, atomic_write_json
from longdwm_env.io.pieces import Arrays, Pieces
from longdwm_env.models.closed_loop.street import way_along
from longdwm_env.models.closed_loop.street_tones import StreetTones, coarse, far
from longdwm_env.training.checkpoint import Checkpoint, checkpoints, gather, read_checkpoint, restore, write_checkpoint
from longdwm_env.training.data.clip import Clip
from longdwm_env.training.data.footage import Footage

AHEAD = (6, 12, 24, 48, 96)
"""Frames after a picture at which the street is held against what was there; as far as the clip goes."""

EVERY = 6
"""Frames from one picture to the next that a street is carried on from."""

BATCH, LEARNING_RATE, DECAY = 48, 1e-3, 0.99
LOOKED_AT = 50
"""Steps from one look at the pairs apart to the next; all is kept then."""

PATIENCE = 1000
"""Steps without any gain there after which training ends."""

MOST_STEPS = 20_000
_APART = 8
_LEAST_PAIRS = 16


@dataclass(frozen=True)
class Pairs:
    """What streets show and what was there, on the network's grid.

    Attributes:
        pictures, streets, truths: uint8 (N, 3, 24, 36).
        driven: (N,) how ``far`` the car has driven since the picture.
    """

    pictures: UInt8[np.ndarray, "n 3 24 36"]
    streets: UInt8[np.ndarray, "n 3 24 36"]
    truths: UInt8[np.ndarray, "n 3 24 36"]
    driven: Float[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.driven)

    def part(self, first: int, last: int) -> "Pairs":
        """Some of them."""
        return Pairs(*(getattr(self, name)[first:last] for name in self.__dataclass_fields__))


def pairs_of(clip: Clip) -> Arrays:
    """The pairs of one clip with poses, as arrays by name."""
    assert clip.poses is not None
    poses = np.asarray(clip.poses, np.float64)
    pictures, streets, truths, driven = [], [], [], []
    for start in range(0, len(poses) - AHEAD[0], EVERY):
        ahead = [frames for frames in AHEAD if start + frames < len(poses)]
        way = poses[start + 1 : start + ahead[-1] + 1]
        lengths, bends = way_along(poses[start], way)
        at = np.array(ahead) - 1
        view = StreetView(np.ascontiguousarray(clip.images[start]), clip.camera)
        shown = view.along(relative_to(way[at], np.broadcast_to(poses[start], (len(at), 3))), lengths[at], bends[at])
        pictures.append(np.repeat(coarse(clip.images[start : start + 1]), len(at), axis=0))
        streets.append(coarse(shown))
        truths.append(coarse(clip.images[[start + frames for frames in ahead]]))
        driven.append(far(lengths[at]))
    tones = {"pictures": pictures, "streets": streets, "truths": truths}
    made = {name: np.rint(255 * np.concatenate(parts)).astype(np.uint8) for name, parts in tones.items()}
    return {**made, "driven": np.concatenate(driven)}


def make_pairs(footage: Footage, folder: Path, reached: Callable[[float], None] = lambda share: None) -> Pairs:
    """The pairs of all clips, kept by clip in a folder.

    Raises:
        InvalidConfig: the footage has no poses, or is too short for more than a few.
    """
    if not footage.has_poses:
        raise InvalidConfig("a street is carried on along poses, and the footage has none")
    pieces = Pieces(folder, json.dumps([footage.description(), AHEAD, EVERY], sort_keys=True))
    parts = []
    for number in range(len(footage)):
        part = pieces.get(f"clip-{number}")
        if part is None:
            part = pairs_of(footage.clip(number))
            pieces.put(f"clip-{number}", part)
        parts.append(part)
        reached((number + 1) / len(footage))
    names = Pairs.__dataclass_fields__
    pairs = Pairs(*(np.concatenate([np.asarray(part[name]) for part in parts]) for name in names))
    if len(pairs) < _LEAST_PAIRS:
        raise InvalidConfig(f"the footage makes {len(pairs)} pairs; {_LEAST_PAIRS} are the least: give longer videos")
    return pairs


@dataclass(frozen=True)
class Taught:
    """What came of training.

    Attributes:
        network: as it was where it did best.
        gain_db: on the pairs apart, in coarse tones, over the street as it is.
    """

    network: StreetTones
    step: int
    gain_db: float


def teach(pairs: Pairs, folder: Path, seconds: float, patience: int = PATIENCE) -> Taught:
    """Train a network on pairs from where an earlier call stopped."""
    torch.manual_seed(0)
    split = len(pairs) - max(1, len(pairs) // _APART)
    known, apart = pairs.part(0, split), pairs.part(split, len(pairs))
    network, average = StreetTones(), StreetTones()
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=0.02)
    road = torch.from_numpy(known.truths.mean(axis=0, dtype=np.float64) / 255).float()
    step, best_db, best_step = 0, 0.0, 0
    best: dict[str, Tensor] = {name: value.clone() for name, value in average.state_dict().items()}
    if saved := checkpoints(folder):
        last = read_checkpoint(saved[-1])
        restore(network, optimizer, last)
        # Averages are of parameters; the road's mean is no parameter.
        average.load_state_dict({"road": road, **last.ema})
        step, best_db, best_step = last.step, float(last.facts["best_db"]), int(last.facts["best_step"])
        best = load_file(folder / "best.safetensors")
    for one in (network, average):
        one.road.copy_(road)
    best["road"] = road
    until = time.monotonic() + seconds
    while step < MOST_STEPS and step - best_step < patience and time.monotonic() < until:
        _step(network, optimizer, known, np.random.default_rng((0, step)))
        step += 1
        # Short at first, as what it begins with is no average of anything.
        keep = min(DECAY, step / (step + 10))
        for mean, now in zip(average.parameters(), network.parameters(), strict=True):
            mean.data.lerp_(now.data, 1 - keep)
        if step % LOOKED_AT == 0:
            gain = gain_db(average, apart)
            if gain > best_db:
                best_db, best_step = gain, step
                best = {name: value.clone() for name, value in average.state_dict().items()}
            atomic_write_bytes(folder / "best.safetensors", save(best))
            weights, moments = gather(network, optimizer)
            facts = {"best_db": best_db, "best_step": best_step}
            write_checkpoint(
                folder, Checkpoint(step, weights, dict(average.named_parameters()), step, moments, facts), 2
            )
            atomic_write_json(folder / "learned.json", {"step": step, "gain_db": round(gain, 3), **facts})
    average.load_state_dict(best)
    return Taught(average.eval(), step, best_db)


def _step(network: StreetTones, optimizer: torch.optim.Optimizer, pairs: Pairs, rng: np.random.Generator) -> None:
    picture, street, truth, driven = tensors(pairs, rng.integers(len(pairs), size=min(BATCH, len(pairs))))
    mirrored = torch.from_numpy(rng.random(len(driven)) < 0.5).view(-1, 1, 1, 1)
    # A road is seen in more light than it was filmed in.
    light = torch.from_numpy(np.exp(0.1 * rng.standard_normal((len(driven), 1, 1, 1)))).float()
    picture, street, truth = (light * torch.where(mirrored, tones.flip(3), tones) for tones in (picture, street, truth))
    loss = (network(street, picture, driven) - (truth - street)).square().mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def tensors(pairs: Pairs, chosen: np.ndarray) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pictures, streets, truths (B, 3, 24, 36), and how far (B,), of some pairs."""
    tones = (torch.from_numpy(part[chosen]).float() / 255 for part in (pairs.pictures, pairs.streets, pairs.truths))
    picture, street, truth = tones
    return picture, street, truth, torch.from_numpy(np.asarray(pairs.driven[chosen], np.float32))


@torch.no_grad()
def gain_db(network: StreetTones, pairs: Pairs) -> float:
    """By how much a network's coarse tones are nearer to what was there than the street's own, in dB."""
    left = street_left = 0.0
    for first in range(0, len(pairs), 256):
        picture, street, truth, driven = tensors(pairs, np.arange(first, min(first + 256, len(pairs))))
        left += float((network(street, picture, driven) - (truth - street)).square().sum())
        street_left += float((truth - street).square().sum())
    return float(10 * np.log10(max(street_left, 1e-9) / max(left, 1e-9)))
