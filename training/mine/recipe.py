"""What a world of one road is trained with: briefly, from the shipped weights on, as far as its videos suffice."""

from dataclasses import dataclass, replace

from longdwm_env.clock import FPS, FRAMES_PER_INTERVAL
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.composition.config import ComposeConfig, CompositorTraining, StreetShares
from longdwm_env.training.composition.streets import HISTORY
from longdwm_env.training.config import DataConfig, LoopConfig, OptimizerConfig, Recipe, StageConfig
from longdwm_env.training.data.encoded.latents import LatentChoices
from longdwm_env.training.data.windows import Window

CLIP_FRAMES = 12 * FPS + 1
"""Of footage: one clip is what a process records at once."""

LEAST_FRAMES = FRAMES_PER_INTERVAL + 1
"""Of anything that is learned from: two keyframes."""

STREET_FRAMES = HISTORY * FRAMES_PER_INTERVAL + 1
"""Of what the compositor drives along: four known keyframes, and a second."""

COARSE_SHARE = 0.3
"""Of the time that is left for training."""


@dataclass(frozen=True)
class Suffices:
    """What videos are long enough for.

    Attributes:
        coarse: samples of the Coarse model, from two keyframes on.
        history: such with all the keyframes that driving remembers.
        streets: drives of the compositor's.
    """

    coarse: bool
    history: bool
    streets: bool

    @classmethod
    def of(cls, longest_frames: int) -> "Suffices":
        """The longest stretch of trusted video without a cut."""
        return cls(longest_frames >= LEAST_FRAMES, longest_frames >= STREET_FRAMES, longest_frames >= STREET_FRAMES)

    def lines(self) -> list[str]:
        """What is done, and what is not for want of length, in words."""
        short = f"needs {STREET_FRAMES / FPS:.1f} s in one piece, which is not there: left as it is shipped"
        return [
            f"Coarse model: from {LEAST_FRAMES / FPS:.1f} s on"
            + ("" if self.history else f"; what it remembers of the last 3 s {short}"),
            f"compositor: from {STREET_FRAMES / FPS:.1f} s on" if self.streets else f"compositor: {short}",
        ]


def mine_recipe(suffices: Suffices) -> Recipe:
    """The recipe of ``longdwm train mine``. Stages end by the clock; their steps are more than an hour allows."""
    windows = (Window(1, 1, 1.0), Window(2, 1, 0.5), Window(4, 1, 3.0)) if suffices.history else (Window(1, 1),)
    coarse = StageConfig(
        LoopConfig(
            steps=4_000, batch_size=8, micro_batch_size=8, precision="bf16", checkpoint_every=50, sample_every=0,
            tracker="none",
        ),
        # Gently: what the simulator taught of cars, weather and prompts is to stay.
        OptimizerConfig(learning_rate=6e-5, warmup_steps=50, schedule="constant", ema_decay=0.99),
        OpenChoices(text_drop_ratio=0.05, warp_drop_ratio=0.03, history_noise_max=0.05),
        windows=windows,
        sampler_ratio=0.9,
        channel_weight_power=1.0,
    )  # fmt: skip
    compose = ComposeConfig(
        # The critic is new, so it joins late; the compositor is not, so it changes slowly.
        CompositorTraining(alone_steps=200, rising_steps=400, learning_rate=1e-4, save_every=20, least_moments=24),
        StreetShares(recorded=0.8, large=0.0, one_picture=0.25),
        steps=20_000,
        ring=3072,
        longest_s=(6, 20),
    )
    data = DataConfig("videos", frames=CLIP_FRAMES, bad_share=0.2, latents=LatentChoices(keyframe_phases=1))
    return Recipe("mine", "full", "mini", data, {"coarse": coarse}, compose)


def without_compositor(recipe: Recipe) -> Recipe:
    """The same where videos are too short for drives."""
    return replace(recipe, compose=None)
