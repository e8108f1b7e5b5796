"""``longdwm data export-lerobot``: drives of any world as a data set for robot learning."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from longdwm_env.cli.destination import holding_its
from longdwm_env.errors import InvalidConfig

if TYPE_CHECKING:
    import gymnasium as gym

    from longdwm_env.actions import Action
    from longdwm_env.agents.policy import Policy
    from longdwm_env.env import LongDWMEnv
    from longdwm_env.episodes.observation import Info, Observation
    from longdwm_env.scenes.datasets.lerobot_export import DrivenEpisode
    from longdwm_env.types import FloatArray


@holding_its("folder")
def export_lerobot(
    out: Path,
    world: str = "simulator",
    scenes: str | None = None,
    policy: str = "idm",
    episodes: int = 10,
    seconds: float = 20.0,
    seed: int = 0,
    control_period_s: float = 1.0,
    image_size: tuple[int, int] | None = None,
    prompt: str | None = None,
    device: str | None = None,
    road: str | None = None,
    speed: float | None = None,
) -> int:
    """Let a policy drive, and write what it saw and did as a LeRobot v3 data set (parquet and mp4).

    Each frame has the picture, the ego's state, the action that was being carried out, the reward (the step's, at the
    frame that ends it) and whether the drive ended there, and if so in success: by the time, not by a collision or off
    the road.

    Args:
        out: Folder to write; it must not exist or be empty. It appears when all is done.
        world: simulator, mini, warp, or the folder or hub id of a saved pipeline.
        scenes: Where drives start: a picture, a video, a folder of them, a nuScenes dataroot; default: built-in scenes.
        policy: Who drives, such as idm, constant-velocity or random; as longdwm evaluate names them.
        episodes: How many drives; the scenes of seeds from seed on.
        seconds: Of each, at most.
        seed: Of the first drive. Built-in scenes from 1000000 on are kept for testing.
        control_period_s: Seconds between two actions.
        image_size: Height and width of the pictures; default the world's own.
        prompt: Weather and time of day for all drives; default each scene's own.
        device: Where a learned world runs, such as cuda.
        road: Of pictures and videos, as longdwm drive has it.
        speed: m/s at their start.
    """
    from tqdm import tqdm

    from longdwm_env.io.files import refuse_occupied
    from longdwm_env.scenes.datasets.lerobot_export import export_lerobot as export
    from longdwm_env.scenes.made_roads import with_words

    if episodes < 1 or not 1 <= seconds <= 3600:
        raise InvalidConfig(
            f"episodes is {episodes} and seconds {seconds:g}; at least 1 and 1 (at most 3600) are needed"
        )
    refuse_occupied(out)
    scenes = with_words(scenes, road, speed)
    environment, driver, names = _opened(world, scenes, policy, seconds, control_period_s, image_size, prompt, device)
    drives = (_driven(environment, driver, number) for number in tqdm(range(seed, seed + episodes), unit="drive"))
    about = {"world": world, "policy": policy, "seed": seed, "control_period_s": control_period_s, "prompt": prompt}
    frames = export(drives, out, names, about)
    environment.close()
    print(f"wrote {episodes} drives, {frames} frames, to {out}")
    return 0


def _opened(
    world: str,
    scenes: str | None,
    policy: str,
    seconds: float,
    control_period_s: float,
    image_size: tuple[int, int] | None,
    prompt: str | None,
    device: str | None,
) -> tuple["gym.Env[Observation, Action]", "Policy", tuple[str, ...]]:
    """The environment, the policy, and the names of an action's numbers."""
    import gymnasium as gym
    import numpy as np

    from longdwm_env.agents.naming import PolicySpec, environment_needs, make_policy
    from longdwm_env.agents.policy import PolicyContext

    spec = PolicySpec.parse(policy)
    needs = environment_needs(spec)
    environment = gym.make(
        "longdwm_env:LongDWM-v0",
        world=world,
        scenes=scenes,
        action_mode=needs.action_mode or "trajectory",
        obs_mode=needs.obs_mode or "video",
        control_period_s=control_period_s,
        max_episode_s=seconds,
        image_size=image_size,
        prompt=prompt,
        device=device,
        disable_env_checker=True,
    )
    shape = environment.action_space.shape or ()
    if needs.action_mode in (None, "trajectory"):
        times = [0.5 * (number + 1) for number in range(shape[0])]
        names = tuple(f"{axis}_m at {time:g} s" for time in times for axis in ("x", "y"))
    else:
        names = tuple(f"{needs.action_mode}_{number}" for number in range(int(np.prod(shape)) or 1))
    return environment, make_policy(spec, PolicyContext.of(environment)), names


def _driven(environment: "gym.Env[Observation, Action]", driver: "Policy", seed: int) -> "DrivenEpisode":
    """One drive, from its start to its end."""
    import numpy as np

    from longdwm_env.scenes.datasets.lerobot_export import DrivenEpisode

    base = cast("LongDWMEnv", environment.unwrapped)
    observation, info = environment.reset(seed=seed)
    driver.reset(observation, info)
    state = base.get_state()
    clips, states, actions, rewards = [state.frames[-1:]], [_row(state.ego.pose, state.past_motion[-1])], [], []
    over, reason = False, ""
    while not over:
        action = driver.act(observation, info)
        observation, reward, terminated, truncated, info = environment.step(action)
        over, after = terminated or truncated, base.get_state()
        count = len(after.ego_poses)
        clips.append(after.frames)
        motion = after.past_motion[-count:]
        states += [_row(pose, moved) for pose, moved in zip(after.ego_poses, motion, strict=True)]
        actions += [np.asarray(action, np.float64).reshape(-1)] * count
        rewards += [*[0.0] * (count - 1), float(reward)]
        reason = info["termination"] or ""
    done = np.zeros(len(rewards), bool)
    done[-1] = True
    # The last picture is what the last action led to; nothing is done from it on.
    frames = np.concatenate(clips)[:-1]
    return DrivenEpisode(
        [frames], np.array(states[:-1]), np.array(actions), np.array(rewards), done, reason == "time_limit", _task(info)
    )


def _row(pose: "FloatArray", motion: "FloatArray") -> "FloatArray":
    import numpy as np

    return np.concatenate([pose, motion])


def _task(info: "Info") -> str:
    said = " ".join(str(info["prompt"]).split())
    return f"drive on; {said}" if said else "drive on"
