"""The compositor's training: patch distance first, then a critic beside it."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from longdwm_env.io.files import atomic_path, atomic_write_bytes
from longdwm_env.models.closed_loop.composition import ingredients_from_arrays
from longdwm_env.models.compositor import Compositor, Ingredients
from longdwm_env.models.machine import faster_in_bfloat16
from longdwm_env.training.composition.config import CompositorTraining
from longdwm_env.training.composition.critic import (
    PatchCritic,
    contrast,
    critic_views,
    motion_distance,
    patch_distance,
    texture_distance,
    weighted_mean,
)
from longdwm_env.training.composition.store import MomentRing

LOG_EVERY = 50


def trainer_state(folder: Path) -> dict[str, Tensor] | None:
    """What a stopped training left, or None."""
    path = folder / "trainer.safetensors"
    return load_file(path) if path.exists() else None


class CompositorTrainer:
    """Compositor, critic and their optimisers; saved and resumed as safetensors."""

    def __init__(self, compositor: Compositor, config: CompositorTraining, folder: Path, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.config, self.folder = config, folder
        self.compositor = compositor.train().to(memory_format=torch.channels_last)
        self.averaged = Compositor(**_arguments(compositor))
        self.averaged.load_state_dict(compositor.state_dict())
        self.critic = PatchCritic().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        rate, betas = config.learning_rate, (0.5, 0.99)
        self.optimiser = torch.optim.Adam(self.compositor.parameters(), rate, betas)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), 2 * rate, betas)
        self.step = 0
        state = trainer_state(folder)
        if state is not None:
            self._restore(state)

    def train_step(self, given: Ingredients, wanted: Tensor, taken: Tensor, road_users: Tensor) -> dict[str, float]:
        """One step on B moments; returns what the log shows.

        Args:
            given: what their frames are put together from.
            wanted: (B, 3, H, W) the frames.
            taken: (B, 2, 3, H, W) the keyframes around them, taken along; see ``drives.Moment``.
            road_users: (B, 1, H, W), 1 where a map shows one and close by.
        """
        warm = float(np.clip((self.step - self.config.alone_steps) / self.config.rising_steps, 0, 1))
        _, deviation = contrast(wanted)
        # A critic's scores are not of roots as distances are.
        heed = (1 + self.config.road_user_weight * road_users).sqrt()

        def judged(pictures: Tensor, keyframe: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            views = critic_views(pictures.float(), keyframe, given.masks[:, 0], given.map_picture, wanted)
            with torch.autocast("cpu", torch.bfloat16, enabled=faster_in_bfloat16()):
                scores, features = self.critic(*views)
            return [score.float() for score in scores], [feature.float() for feature in features]

        with torch.autocast("cpu", torch.bfloat16, enabled=faster_in_bfloat16()):
            made = self.compositor(given)
        weights = 1 + self.config.road_user_weight * road_users
        distance = (patch_distance(made.float(), wanted, weights) * (0.4 / deviation.flatten())).mean()
        texture = texture_distance(made.float() - wanted, wanted, weights)
        motion = motion_distance(made.float(), given, wanted, taken)
        loss = self.config.distance_weight * distance + self.config.texture_weight * texture
        loss = loss + self.config.motion_weight * motion
        terms = {"distance": distance, "texture": texture, "motion": motion}
        log = {name: float(term.detach()) for name, term in terms.items()}
        if self.step >= self.config.alone_steps:
            real, wanted_features = judged(wanted, taken[:, 0])
            fake, _ = judged(made.detach(), given.pictures[:, 0])
            critic_loss = torch.stack(
                [weighted_mean((r - 1) ** 2, heed) + weighted_mean(f**2, heed) for r, f in zip(real, fake, strict=True)]
            ).sum()
            self.critic_optimiser.zero_grad(set_to_none=True)
            critic_loss.backward()
            nn.utils.clip_grad_norm_(self.critic.parameters(), 5.0)
            self.critic_optimiser.step()
            self.critic.requires_grad_(False)
            fake, features = judged(made, given.pictures[:, 0])
            self.critic.requires_grad_(True)
            fooled = torch.stack([weighted_mean((f - 1) ** 2, heed) for f in fake]).sum()
            pairs = zip(features, wanted_features, strict=True)
            matching = torch.stack([weighted_mean((s - w.detach()).abs(), heed) for s, w in pairs]).mean()
            loss = loss + warm * (self.config.fooling_weight * fooled + self.config.matching_weight * matching)
            log |= {"critic": float(critic_loss.detach())}
            log |= {"fooled": float(fooled.detach()), "matching": float(matching.detach())}
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        log["norm"] = float(nn.utils.clip_grad_norm_(self.compositor.parameters(), 1.0))
        self.optimiser.step()
        decay = min(self.config.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for average, new in zip(self.averaged.parameters(), self.compositor.parameters(), strict=True):
                average.lerp_(new, 1 - decay)
        self.step += 1
        return log

    def save(self) -> None:
        """Write the averaged weights for driving, and all that training needs to go on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {"step": torch.tensor(self.step)}
        for name, module in (("model", self.compositor), ("average", self.averaged), ("critic", self.critic)):
            tensors |= {f"{name}/{key}": value.contiguous() for key, value in module.state_dict().items()}
        for name, optimiser in (("adam", self.optimiser), ("critic_adam", self.critic_optimiser)):
            for index, state in optimiser.state_dict()["state"].items():
                tensors |= {f"{name}/{index}/{key}": value.contiguous() for key, value in state.items()}
        with atomic_path(self.folder / "trainer.safetensors") as temporary:
            save_file(tensors, temporary)
        averaged = {key: value.contiguous() for key, value in self.averaged.state_dict().items()}
        with atomic_path(self.folder / "average.safetensors") as temporary:
            save_file({"step": torch.tensor(self.step), **averaged}, temporary)

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        def part(prefix: str) -> dict[str, Tensor]:
            return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}

        for name, module in (("model/", self.compositor), ("average/", self.averaged), ("critic/", self.critic)):
            module.load_state_dict(part(name))
        for name, optimiser in (("adam/", self.optimiser), ("critic_adam/", self.critic_optimiser)):
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in part(name).items():
                index, field = key.split("/")
                state.setdefault(int(index), {})[field] = value
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
        self.step = int(tensors["step"])


def _arguments(compositor: Compositor) -> dict[str, object]:
    return {name: compositor.config[name] for name in ("text_dim", "widths", "depths")}


def train(
    ring: MomentRing,
    trainer: CompositorTrainer,
    steps: int,
    log_path: Path,
    seed: int = 0,
    over: Callable[[], bool] = lambda: False,
) -> None:
    """Train up to a number of steps on what drives write into the ring meanwhile.

    Args:
        ring: of moments.
        trainer: that is trained.
        steps: in all.
        log_path: a line of JSON every ``LOG_EVERY`` steps is added to it.
        seed: of the draws.
        over: asked before each step; True ends the training.
    """
    config = trainer.config
    while len(ring) < config.least_moments and not over():
        time.sleep(0.5)
    _cut_log(log_path, trainer.step)
    began = time.monotonic()
    sums: dict[str, float] = {}
    count = 0
    while trainer.step < steps and not over():
        rng = np.random.default_rng((seed, trainer.step))
        moments = ring.batch(np.sort(rng.integers(0, len(ring), config.batch)))
        if rng.random() < 0.5:
            moments = mirrored(moments)
        height, width = moments["targets"].shape[1:3]
        noise = torch.from_numpy(rng.standard_normal((config.batch, 1, height, width), np.float32))
        given = ingredients_from_arrays(
            moments["pictures"], moments["masks"], moments["map_pictures"], moments["flags"],
            noise, torch.from_numpy(moments["texts"]),
        )  # fmt: skip
        wanted, taken = (
            torch.from_numpy(moments[name]).movedim(-1, -3).float() / 127.5 - 1 for name in ("targets", "taken")
        )
        # With what is close around them: lamps shine beyond their outlines.
        road_users = F.max_pool2d(torch.from_numpy(moments["road_users"])[:, None].float(), 5, 1, 2)
        for name, value in trainer.train_step(given, wanted, taken, road_users).items():
            sums[name] = sums.get(name, 0.0) + value
        count += 1
        if trainer.step % LOG_EVERY == 0:
            entry = {
                "step": trainer.step,
                "moments": int(ring.counts[0]),
                "seconds_a_step": (time.monotonic() - began) / count,
            }
            entry |= {name: round(value / count, 4) for name, value in sums.items()}
            with log_path.open("a") as file:
                file.write(json.dumps(entry) + "\n")
            began, sums, count = time.monotonic(), {}, 0
        if trainer.step % config.save_every == 0:
            trainer.save()
    trainer.save()


def _cut_log(path: Path, step: int) -> None:
    """Leave out what a call that was killed logged after its last checkpoint: those steps are done again."""
    if path.is_file():
        lines = path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        if len(kept) < len(lines):
            atomic_write_bytes(path, "".join(kept).encode())


def mirrored(moments: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same moments, left and right exchanged."""
    flipped = dict(moments)
    columns = ("pictures", 3), ("masks", 3), ("map_pictures", 2), ("targets", 2), ("taken", 3), ("road_users", 2)
    for name, axis in columns:
        flipped[name] = np.ascontiguousarray(np.flip(moments[name], axis=axis))
    return flipped
