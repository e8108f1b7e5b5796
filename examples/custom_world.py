"""A world of your own: two methods, and ``gym.make(world=...)`` takes it like the built-in ones.

This one shows the last frame it saw for ever. That is the least a world can do, and what every other has to beat.
Run it: ``python examples/custom_world.py``. ``docs/custom_world.md`` explains it.
"""

from collections.abc import Sequence

import gymnasium as gym
import numpy as np

from longdwm_env import RewardTerm, Scene, Trajectory, WorldState
from longdwm_env.rewards import Driven
from longdwm_env.types import Images, ImageSize


class StillWorld:
    """The last frame stays; only the ego moves. What it must remember, one frame, is in its state."""

    def __init__(self, image_size: ImageSize = (96, 144)) -> None:
        self.name = "still"
        self.image_size = image_size

    def begin(self, scene: Scene, seed: int) -> WorldState:
        """The state at a scene's start. The scene's camera is known and has this world's image size."""
        assert scene.camera is not None
        (frame,) = scene.log.images(0, 1, scene.camera)
        return WorldState(arrays={"frame": frame}, values={"frames_driven": 0})

    def advance(
        self, states: Sequence[WorldState], trajectories: Sequence[Trajectory], num_frames: int
    ) -> tuple[list[WorldState], Images]:
        """Answer a batch: new states, never changed ones, and frames (B, num_frames, H, W, 3)."""
        following = [
            WorldState(state.arrays, {"frames_driven": state.values["frames_driven"] + num_frames}) for state in states
        ]
        frames = np.stack([np.repeat(state.arrays["frame"][None], num_frames, axis=0) for state in states])
        return following, frames


def smoothness(driven: Driven) -> float:
    """A reward term of our own: minus the mean absolute acceleration, m/s2."""
    return -float(np.abs(driven.motion[:, 1]).mean())


def main() -> None:
    """Drive three seconds straight ahead and print what the reward is made of."""
    own_term = RewardTerm("smoothness", unit="m/s2", source="this example", value=smoothness)
    env = gym.make(
        "longdwm_env:LongDWM-v0", world=StillWorld(), action_mode="command", reward={"progress": 0.1, own_term: 0.2}
    )
    env.reset(seed=7)
    for _ in range(3):
        observation, reward, terminated, truncated, info = env.step(0)
        terms = ", ".join(f"{name} {value:.2f}" for name, value in info["reward_terms"].items())
        print(f"{observation['frames'].shape[0]} frames, reward {reward:.2f} ({terms})")
        if terminated or truncated:
            break
    env.close()


if __name__ == "__main__":
    main()
