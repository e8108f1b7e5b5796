"""How far into an episode a world can be trusted: what it shows, against the simulator driven by the same actions.

The motion of the ego is exact in every world, so frames of the same moment can be compared. Per frame:

- agreement: PSNR in dB between the world's frame and the simulator's; beside it that of the frozen first frame, which
  knows nothing of what followed.
- drift: how much sharper or blurrier the frame is than the simulator's (ratio of mean gradient), and how far its
  mean colour is off (of 255).
- compliance: how much better a frame is explained by the one a quarter of a second before moved as commanded (the
  ground warp) than by the same frame left where it was: 1 - error moved / error left. 0 where the video ignores the
  action.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from tqdm import tqdm

from longdwm_env.actions import ActionMode
from longdwm_env.agents.naming import PolicySpec, environment_needs
from longdwm_env.clock import FPS
from longdwm_env.env import LongDWMEnv
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig
from longdwm_env.evaluation.policies.policy_figures import FloatCurve
from longdwm_env.evaluation.policies.scene_statistics import CONFIDENCE, resampled_scenes
from longdwm_env.evaluation.policies.summary import Record
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.warp import WarpSettings, warp_images
from longdwm_env.types import Camera, FloatArray, Images

STEP_FRAMES = 3
"""A quarter of a second: enough motion to see, little enough that the warp holds."""

PLAIN = 4.0
"""Mean gradient below which the simulator's frame shows one surface, as inside a crash: no measure of sharpness."""

STILL = 2.0
"""Mean squared difference below which nothing moved, so that compliance has nothing to say."""

QUANTITIES = ("agreement", "frozen", "sharpness", "colour", "compliance", "compliance_simulator")


@dataclass(frozen=True)
class Trust:
    """Curves over the seconds of an episode: quantity -> (S,) seconds, mean, low, high over the scenes.

    ``horizon_s`` is the last second up to which the world both agrees better than the frozen first frame and complies
    at least half as well as the simulator itself; 0 if not even the first.
    """

    curves: Mapping[str, FloatCurve]
    horizon_s: float
    episodes: int


def measure_trust(
    config: EvaluationConfig, records: Sequence[Record], world_of: Mapping[str, str], quiet: bool = False
) -> Trust:
    """Drive recorded actions again in both worlds and compare what is seen.

    Args:
        config: of the evaluation whose records these are; built-in scenes.
        records: finished episodes with their actions.
        world_of: names of the two worlds: "simulator" and "world".
        quiet: no progress bar.
    """
    environments = {role: _environment(config, name) for role, name in world_of.items()}
    tables = []
    for record in tqdm(records, desc="comparing what is seen", unit="episode", disable=quiet):
        frames, poses, camera = {}, None, None
        for role, environment in environments.items():
            frames[role], poses, camera = drive_again(environment, config, record)
        assert poses is not None
        assert camera is not None
        length = min(len(clip) for clip in frames.values())
        if length > FPS:
            tables.append(_per_second(frames["simulator"][:length], frames["world"][:length], poses[:length], camera))
    return _trust(tables)


def drive_again(environment: LongDWMEnv, config: EvaluationConfig, record: Record) -> tuple[Images, FloatArray, Camera]:
    """Frames (T, H, W, 3) and poses (T, 3) of a recorded episode's actions, the start first, and the camera."""
    scene = (config.first_scene + record["episode"]) % len(environment.episodes.source)
    environment.reset(seed=record["seed"], options={"scene": scene})
    state = environment.get_state()
    frames, poses = [state.frames[-1:]], [state.ego.pose[None]]
    for action in record["actions"]:
        if state.terminated or state.truncated:
            break
        environment.step(np.asarray(action, np.float32))
        state = environment.get_state()
        frames.append(state.frames)
        poses.append(state.ego_poses)
    return np.concatenate(frames), np.concatenate(poses), state.camera


def _environment(config: EvaluationConfig, world: str) -> LongDWMEnv:
    return LongDWMEnv(
        world=world,
        scenes=config.scenes,
        action_mode=cast(ActionMode, config.action_mode),
        control_period_s=config.control_period_s,
        max_episode_s=config.max_episode_s,
        image_size=config.image_size,
        device=config.device if world == config.world else None,
        prompt=config.prompt,
    )


def replayable(config: EvaluationConfig, records: Sequence[Record]) -> list[Record]:
    """Finished episodes whose actions mean the same in the environments that ``measure_trust`` makes."""
    same = {name: _acts_in(name) in (None, config.action_mode) for name in {record["policy"] for record in records}}
    return [record for record in records if same[record["policy"]] and record["status"] == "done"]


def _acts_in(policy: str) -> str | None:
    """The action mode that a policy's name or file says; None where neither does."""
    spec = PolicySpec.parse(policy)
    # A policy elsewhere is not asked again: it may have gone since it drove.
    return (spec.needs if spec.is_remote else environment_needs(spec)).action_mode


def psnr_db(first: Images, second: Images) -> float:
    """Peak signal-to-noise ratio of two uint8 images; at most 60 dB."""
    error = float(np.mean((first.astype(np.float32) - second.astype(np.float32)) ** 2))
    return float(10 * np.log10(255.0**2 / max(error, 255.0**2 / 1e6)))


def sharpness(image: Images) -> float:
    """Mean size of the brightness gradient."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)).mean())


def compliance(frames: Images, poses: FloatArray, camera: Camera, index: int) -> float:
    """Compliance of frame ``index`` with the motion since ``STEP_FRAMES`` before; NaN where nothing moved."""
    before, now = frames[index - STEP_FRAMES], frames[index].astype(np.float32)
    left = float(np.mean((before.astype(np.float32) - now) ** 2))
    moved_ego = float(np.linalg.norm(poses[index, :2] - poses[index - STEP_FRAMES, :2]))
    if left < STILL or moved_ego < 0.1:
        return float("nan")
    motion = relative_to(poses[index][None], poses[index - STEP_FRAMES][None])
    moved = warp_images(before, camera, motion, WarpSettings("ground"))[0]
    return max(1 - float(np.mean((moved.astype(np.float32) - now) ** 2)) / left, -1.0)


def _per_second(simulator: Images, world: Images, poses: FloatArray, camera: Camera) -> dict[str, FloatArray]:
    """Each quantity per second of one episode, (S,), NaN where it says nothing."""
    seconds = (len(world) - 1) // FPS
    rows: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    for second in range(seconds):
        chosen = [second * FPS + step for step in range(STEP_FRAMES, FPS + 1, STEP_FRAMES)]
        found: dict[str, list[float]] = {name: [] for name in QUANTITIES}
        for index in chosen:
            truth, shown = simulator[index], world[index]
            found["agreement"].append(psnr_db(shown, truth))
            found["frozen"].append(psnr_db(world[0], truth))
            detail = sharpness(truth)
            found["sharpness"].append(sharpness(shown) / detail if detail > PLAIN else float("nan"))
            found["colour"].append(float(np.abs(shown.mean((0, 1)) - truth.mean((0, 1))).mean()))
            found["compliance"].append(compliance(world, poses, camera, index))
            found["compliance_simulator"].append(compliance(simulator, poses, camera, index))
        for name, values in found.items():
            usable = [value for value in values if np.isfinite(value)]
            rows[name].append(float(np.mean(usable)) if usable else float("nan"))
    return {name: np.array(values) for name, values in rows.items()}


def _trust(tables: Sequence[Mapping[str, FloatArray]]) -> Trust:
    longest = max((len(table["agreement"]) for table in tables), default=0)
    curves = {}
    for name in QUANTITIES:
        padded = np.full((len(tables), longest), np.nan)
        for row, table in enumerate(tables):
            padded[row, : len(table[name])] = table[name]
        curves[name] = _curve(padded)
    good = 0
    for second in range(longest):
        agrees = curves["agreement"][1][second] > curves["frozen"][1][second]
        ours, theirs = curves["compliance"][1][second], curves["compliance_simulator"][1][second]
        complies = not np.isfinite(theirs) or ours >= 0.5 * theirs
        if not (agrees and complies):
            break
        good = second + 1
    return Trust(curves, float(good), len(tables))


def _curve(values: FloatArray) -> FloatCurve:
    """Mean and interval over episodes (E, S), second by second, without what is NaN; of one there is no interval."""
    seconds = np.arange(values.shape[1]) + 0.5
    if not len(values):
        return seconds, seconds * np.nan, seconds * np.nan, seconds * np.nan
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    counted = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known.any(axis=0), filled.sum(axis=0) / counted, np.nan)
    weights = resampled_scenes(len(values), 500)
    share = weights @ known
    drawn = np.where(share > 0, (weights @ filled) / np.maximum(share, 1e-12), mean)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    # One episode has no interval, which is not the same as one of width zero.
    low, high = (np.where(known.sum(axis=0) > 1, end, np.nan) for end in (low, high))
    return seconds, mean, low, high
