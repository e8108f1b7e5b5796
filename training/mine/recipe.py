"""What a world of one road is made with, and what its videos are long enough for."""

from longdwm_env.clock import FPS, FRAMES_PER_INTERVAL
from longdwm_env.training.config import DataConfig, Recipe
from longdwm_env.training.mine.road_tones import AHEAD

CLIP_FRAMES = 12 * FPS + 1
"""Of footage: one clip is what a process records at once."""

LEAST_FRAMES = FRAMES_PER_INTERVAL + 1
"""Of anything that is learned from."""


def mine_recipe() -> Recipe:
    """The recipe of ``longdwm train mine``: footage alone; what is taught has no other choices (``road_tones``)."""
    return Recipe("mine", "full", "mini", DataConfig("videos", frames=CLIP_FRAMES, bad_share=0.2), {})


def suffices(longest_frames: int) -> str:
    """What the longest trusted stretch without a cut is long enough for, in words."""
    far, needed = AHEAD[-1] / FPS, (AHEAD[-1] + 1) / FPS
    line = f"the road's tones: from {LEAST_FRAMES / FPS:.1f} s on"
    if longest_frames > AHEAD[-1]:
        return line
    seen = max((frames for frames in AHEAD if frames < longest_frames), default=0) / FPS
    return f"{line}; {far:g} s ahead needs {needed:.1f} s in one piece, which is not there: {seen:g} s ahead at most"
