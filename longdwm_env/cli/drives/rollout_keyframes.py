"""``longdwm rollout --mode keyframes``: the paper's own way, keyframes at once and then the gaps between them.

Twelve keyframes after the present one, the twelve gaps in as few passes as fit into memory, and on from the last
keyframe (LongDWM, appendix D). A part is one such rollout; what is kept between parts is the last keyframe or two.
"""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from longdwm_env import clock
from longdwm_env.cli.drives.rollout_run import LANE, Request, Run, inputs_of, open_environment
from longdwm_env.errors import InvalidConfig

if TYPE_CHECKING:
    from tqdm import tqdm

    from longdwm_env.env import LongDWMEnv
    from longdwm_env.models.closed_loop.generation import Generation
    from longdwm_env.models.closed_loop.long_video import Drive, Standing
    from longdwm_env.models.closed_loop.samples import Sampling
    from longdwm_env.models.pipeline import LongDWMPipeline
    from longdwm_env.models.world import DiffusionWorld
    from longdwm_env.state import EnvState
    from longdwm_env.types import FloatArray


class KeyframeRun(Run):
    """A rollout in the paper's way; the video begins with the present frame, so twelve seconds are 145 frames.

    Args:
        request: what was asked for.
        out: the mp4 to write.
        gaps_at_once: gaps in a pass of the Fine model; None for all twelve, or as many as fit.
    """

    def __init__(self, request: Request, out: Path, gaps_at_once: int | None = None) -> None:
        super().__init__(request, out)
        self.gaps_at_once = gaps_at_once

    def go_on(self) -> str:
        """Make the video to its end, rollout by rollout; returns why the drive ended early, or nothing."""
        from tqdm import tqdm

        from longdwm_env.models.closed_loop.long_video import begun
        from longdwm_env.models.world import DiffusionWorld

        environment, env = open_environment(self.request)
        start = env.get_state()
        if not isinstance(env.world, DiffusionWorld):
            raise InvalidConfig(
                f"mode=keyframes needs a world with a Coarse and a Fine model, such as mini or a saved pipeline; "
                f"{self.request.world!r} goes second by second: leave mode=second"
            )
        pipeline = env.world.pipeline
        if start.image_size != tuple(pipeline.settings.image_size):
            raise InvalidConfig(
                f"mode=keyframes makes frames of the pipeline's own size {pipeline.settings.image_size}, not of "
                f"{start.image_size}: leave out image_size"
            )
        self.inputs = inputs_of(self.request, start)
        poses, ended = self._way(start)
        drive = _drive(pipeline, env, start, poses, self.request.seed)
        environment.close()
        standing = self._went_on_from(begun(drive))
        at_once = pipeline.settings.keyframes - 1 if self.gaps_at_once is None else self.gaps_at_once
        generation, sampling = pipeline.generation(gaps_at_once=at_once), pipeline.sampling()
        total = 1 + drive.num_frames
        with tqdm(total=total, initial=self.frames, unit="frame", desc=self.request.world, smoothing=0.1) as rate:
            while self.frames < total:
                standing = self._rollout(generation, drive, sampling, standing, rate)
        return ended

    def _way(self, start: "EnvState") -> "tuple[FloatArray, str]":
        """Poses (T, 3) to come in the ego frame of the start, whole seconds; and why they are fewer than asked for."""
        from longdwm_env.io.routes import open_route

        frames = round(self.request.seconds * clock.FPS)
        if self.request.trajectory != LANE:
            speed = start.ego.speed_mps or None
            route = open_route(self.request.trajectory, self.request.seconds, start_speed_mps=speed)
            return route.poses_at(np.arange(1, frames + 1)), ""
        return _lane_ahead(self.request, start, frames)

    def _rollout(
        self, generation: "Generation", drive: "Drive", sampling: "Sampling", standing: "Standing", rate: "tqdm"
    ) -> "Standing":
        """One rollout, put beside the others; then what the next one goes on from."""
        from longdwm_env.io.video import VideoWriter
        from longdwm_env.models.closed_loop.long_video import rolled_on

        made = rolled_on(generation, drive, sampling, standing)
        frames = 0
        with VideoWriter(self._part_path(self.parts), drive.camera.intrinsics.image_size) as video:
            if standing.driven == 0:
                video.write(drive.history[-1:])
                frames += 1
                rate.update(1)
            while True:
                try:
                    clip, _ = next(made)
                except StopIteration as end:
                    standing = end.value
                    break
                video.write(clip)
                frames += len(clip)
                rate.update(len(clip))
        self.parts, self.frames = self.parts + 1, self.frames + frames
        self._keep(standing)
        self._record("")
        (self.folder / f"standing-{self.parts - 1:05d}.safetensors").unlink(missing_ok=True)
        return standing

    def _keep(self, standing: "Standing") -> None:
        from safetensors.numpy import save_file

        from longdwm_env.io.files import atomic_path

        assert standing.before is not None
        image, pose = standing.before
        tensors = {"history": standing.history, "before": image, "before_pose": np.asarray(pose, np.float64)}
        tensors |= {"driven": np.array([standing.driven], np.int64)}
        with atomic_path(self.folder / f"standing-{self.parts:05d}.safetensors") as temporary:
            save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, temporary)

    def _went_on_from(self, beginning: "Standing") -> "Standing":
        """Where an earlier call stopped, or the beginning."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        from longdwm_env.models.closed_loop.long_video import Standing

        self._take_up()
        if self.parts == 0:
            return beginning
        path = self.folder / f"standing-{self.parts:05d}.safetensors"
        try:
            kept = load_file(path)
            return Standing(int(kept["driven"][0]), kept["history"], (kept["before"], kept["before_pose"]))
        except (OSError, SafetensorError, KeyError, IndexError) as error:
            raise InvalidConfig(f"{path} is damaged ({error}); give --restart to begin again") from error


def _drive(
    pipeline: "LongDWMPipeline", env: "LongDWMEnv", start: "EnvState", poses: "FloatArray", seed: int
) -> "Drive":
    """The video to make: from the world's own first frames, under its own prompt, with the map where there is one."""
    from longdwm_env.geometry.layout import DrawnRoadMap
    from longdwm_env.models.closed_loop.known_map import LAYOUT_REACH_M
    from longdwm_env.models.inputs import Way

    settings, layout, scene = pipeline.settings, None, env.scene
    if settings.road_layout and isinstance(scene.road_map, DrawnRoadMap):
        layout = scene.road_map.layout(start.ego.pose[:2], LAYOUT_REACH_M).seen_from(start.ego.pose)
    text = pipeline.encode_text([start.world_state.values["prompt"]])[0].to(pipeline.coarse.dtype)
    frames = cast("DiffusionWorld", env.world).recent_frames(start.world_state, len(start.world_state.arrays["frames"]))
    seconds = len(poses) / clock.FPS
    return Way(poses, seconds, start.camera, None, layout).drive(settings, frames, text, seed)


def _lane_ahead(request: Request, start: "EnvState", frames: int) -> "tuple[FloatArray, str]":
    """Where keeping to the lane leads: driven beforehand, in the world that costs nothing, since nothing is drawn."""
    from dataclasses import replace

    from longdwm_env.agents.policies.privileged import LaneKeeping
    from longdwm_env.agents.policy import PolicyContext
    from longdwm_env.geometry.pose import relative_to

    environment, env = open_environment(replace(request, world="warp", device=None, image_size=start.image_size))
    keeper = LaneKeeping(PolicyContext.of(environment))
    keeper.reset(None, {})
    driven: list[FloatArray] = []
    reason = ""
    while len(driven) < frames and not reason:
        _, _, terminated, _, info = env.step(keeper.act(None, {}))
        driven += list(info["ego_pose"])
        reason = env.get_state().reason if terminated else ""
    environment.close()
    if len(driven) < clock.FRAMES_PER_INTERVAL:
        raise InvalidConfig(f"the drive ends within its first second: {reason}")
    whole = len(driven) // clock.FRAMES_PER_INTERVAL * clock.FRAMES_PER_INTERVAL
    poses: FloatArray = relative_to(np.array(driven[:whole]), start.ego.pose)
    return poses, reason
