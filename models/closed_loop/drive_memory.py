"""What the state of a generated drive remembers: how it begins, what is read of it, and how it goes on."""

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from longdwm_env import clock
from longdwm_env.geometry.pose import compose, relative_to
from longdwm_env.models.closed_loop.known_map import camera_of, layout_arrays, layout_near
from longdwm_env.models.closed_loop.lookahead import Second, with_rest
from longdwm_env.models.closed_loop.samples import Present
from longdwm_env.models.closed_loop.street import has_street, street_driven
from longdwm_env.models.closed_loop.surroundings import Surroundings
from longdwm_env.models.conditioning.road_users import pictured, present_during
from longdwm_env.models.conditioning.text import known_prompt
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.traffic.traffic_record import Meanwhile
from longdwm_env.types import Camera, FloatArray, Images, JsonObject, Scene, WorldState


class DriveMemory:
    """The frames, poses, map and values of a state.

    Its state holds the last few seconds of frames (array ``frames``, (N, H, W, 3) uint8, newest last), poses of the
    last of them (array ``track``, (M, 3) in the world frame, newest last), the road's layout where the scene has a map
    and the model knows what to do with it (arrays ``layout_corners`` and ``layout_kinds``), the other road users where
    the scene marks them and the model moves them (``actors``, and what ``road_users`` keeps), and the prompt, camera,
    seed, the number of frames driven and whether the first one was drawn again under another prompt (values). Where
    seconds are finished, the rest of one is there too (``rest``).
    A sky that is remembered is there too (array ``sky``, see ``Sky``), once a frame has shown it.
    Where neither map nor road users are known and the settings say so, the first picture is there too (array
    ``street``), and how far the car has driven from it (``street``): it is what such a drive is made of.
    Frames, not latents, are the memory: what the agent saw is exactly what the model goes on from, whatever frame it
    acted at, and a state does not depend on a codec's version.
    """

    def __init__(self, settings: LongDWMSettings) -> None:
        self._settings = settings
        self._history = min(settings.history_keyframes, settings.keyframes - 1)
        sweep = settings.matched_sweep
        # How many frames back the matched sweep looks; 0 where the model has none.
        self._baseline = 0 if sweep is None else sweep.baseline_frames

    def begin(self, scene: Scene, camera: Camera, seed: int) -> tuple[dict[str, NDArray[np.generic]], JsonObject]:
        """Arrays and values at a scene's start, with the seconds before it that the scene recorded."""
        seconds = min(self._history - 1, scene.log.num_past // clock.FRAMES_PER_INTERVAL)
        past = seconds * clock.FRAMES_PER_INTERVAL
        frames = np.array(scene.log.images(-past, past + 1, camera))
        prompt = known_prompt(scene.prompt) if self._settings.prompts == "conditions" else scene.prompt
        values = {"camera": asdict(camera), "prompt": prompt, "seed": int(seed), "frames_driven": 0}
        arrays: dict[str, NDArray[np.generic]] = {"frames": frames, "track": self._track_before(scene)}
        if self._settings.road_layout:
            arrays |= layout_arrays(scene)
        return arrays, values

    def present(self, state: WorldState, text: Tensor) -> Present:
        """What a driver has seen, with the embedding (S, D) of his prompt."""
        track, frames = state.arrays["track"], state.arrays["frames"]
        before = layout = None
        if 0 < self._baseline < len(track) and len(frames) > self._baseline:
            pose: FloatArray = relative_to(track[-1 - self._baseline][None], track[-1])[0]
            before = (frames[-1 - self._baseline], pose)
        near = layout_near(state)
        if near is not None:
            layout = near.seen_from(track[-1])
        history = frames[:: -clock.FRAMES_PER_INTERVAL][: self._history][::-1]
        seed, driven = state.values["seed"], state.values["frames_driven"]
        return Present(history, camera_of(state), text, seed, driven, before, layout)

    def present_at(
        self, state: WorldState, text: Tensor, frame: Images, frames_ago: int, surroundings: Surroundings
    ) -> Present:
        """The present of an earlier frame (H, W, 3), as far as the rest of its second needs it."""
        counter = state.values["frames_driven"] - frames_ago
        seed = state.values["seed"]
        return Present(frame[None], camera_of(state), text, seed, counter, surroundings=surroundings)

    def after(
        self, state: WorldState, second: Second, ahead: FloatArray, others: Meanwhile, num_frames: int
    ) -> WorldState:
        """The state when ``num_frames`` of a second along poses (12, 3) in the present ego frame have been driven."""
        clip = second.frames[:num_frames]
        keep = (self._history - 1) * clock.FRAMES_PER_INTERVAL + 1
        frames = np.concatenate([state.arrays["frames"], clip])[-keep:].copy()
        track = state.arrays["track"]
        driven = compose(track[-1], np.asarray(ahead[: len(clip)], dtype=np.float64))
        newest = np.concatenate([track, driven])[-1 - self._baseline :].copy()
        arrays = {**state.arrays, "frames": frames, "track": newest, **others.after(len(clip))}
        values = {**state.values, "frames_driven": state.values["frames_driven"] + len(clip)}
        if second.sky is not None:
            arrays["sky"] = second.sky
        if has_street(state):
            values = street_driven(values, track[-1], driven)
        arrays, values = with_rest(arrays, values, second.after(num_frames))
        known = pictured(state, others.tracks, camera_of(state))
        if "pictured" in values and known is not None:
            values["pictured"] = list(known.ids)
        return WorldState(arrays, values, None if others.tracks is None else present_during(others.tracks, len(clip)))

    def _track_before(self, scene: Scene) -> FloatArray:
        """World poses (M, 3) up to a scene's start: recorded, or as if the car had kept its speed and yaw rate."""
        count = min(self._baseline, scene.log.num_past)
        if scene.log.ego_poses is not None:
            recorded: FloatArray = np.array(scene.log.ego_poses[scene.log.num_past - count : scene.log.num_past + 1])
            return recorded
        times = np.arange(-count, 1) * clock.FRAME_S
        headings = scene.start.yaw_rate_radps * times
        forward = scene.start.speed_mps * times
        back = np.column_stack([forward * np.cos(headings / 2), forward * np.sin(headings / 2), headings])
        return compose(scene.start.pose, back)
