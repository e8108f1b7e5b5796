"""The generative world in a closed loop: a saved pipeline that answers actions, one interval at a time.

A step: the next keyframe from the last few and the warp (Coarse), the frames between (Fine), pixels (codec).
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from longdwm_env import clock, timing
from longdwm_env.episodes.lazy_frames import stack_frames
from longdwm_env.errors import InvalidConfig, MissingWeights
from longdwm_env.geometry.boxes import seen_boxes
from longdwm_env.geometry.pose import compose
from longdwm_env.models.closed_loop.drive_memory import DriveMemory
from longdwm_env.models.closed_loop.known_map import (
    camera_of,
    layout_near,
    scenery_arrays,
    surroundings_of,
)
from longdwm_env.models.closed_loop.lookahead import Opened, Second, rest_of_second
from longdwm_env.models.closed_loop.samples import Present, Sampling
from longdwm_env.models.closed_loop.sky_memory import DRAWN_PX, DROP_PX
from longdwm_env.models.closed_loop.standstill import as_seen
from longdwm_env.models.closed_loop.street import has_street, shows_street, street_second, with_street
from longdwm_env.models.closed_loop.surroundings import Surroundings
from longdwm_env.models.closed_loop.trial import suspecting
from longdwm_env.models.conditioning.restyling import DRIVING_GUIDANCE_SCALE, GUIDED_FRAMES, restyled
from longdwm_env.models.conditioning.road_users import RoadUsers, pictured
from longdwm_env.models.conditioning.text import contradicts, says_conditions, says_rain
from longdwm_env.models.network.uncertainty import prediction_spread
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.saved_pipelines import pipeline_on
from longdwm_env.traffic.meanwhile import TrafficKind
from longdwm_env.traffic.traffic_record import Meanwhile
from longdwm_env.types import (
    ActorTracks,
    Camera,
    FloatArray,
    Images,
    ImageSize,
    Scene,
    Trajectory,
    WorldState,
)

_PROMPTS_KEPT = 64


class DiffusionWorld:
    """A ``WorldModel`` over a ``LongDWMPipeline``; also a ``GenerativeWorld`` and an ``UncertainWorld``.

    Its state is what ``DriveMemory`` says.
    When the agent acts, its present frame is keyframe 0 and the frames whole seconds before it are the history, so a
    control period of any number of frames works alike.

    A batch gives what its members would give alone, bit for bit: every pass has exactly ``micro_batch`` samples. (On a
    CPU this holds for the default of one; see ``generation``.)

    Args:
        pipeline: components and settings.
        name: what the environment shows.
        image_size: (height, width); None for the pipeline's own. Others are allowed where latents divide into patches,
            but a model has only seen its own.
        micro_batch: see ``LongDWMPipeline.generation``.
        coarse_steps: None for the pipeline's own.
        fine_steps: as ``coarse_steps``.
        guidance_scale: as ``coarse_steps``.
        finish_seconds: see ``FinishingWorld``. Off, the frame at which an agent acts is always a new keyframe.
        traffic: "reactive", "constant" or "none"; None for what a scene has, where the model is given road users.
    """

    def __init__(
        self,
        pipeline: LongDWMPipeline,
        name: str = "longdwm",
        image_size: ImageSize | None = None,
        micro_batch: int | None = None,
        coarse_steps: int | None = None,
        fine_steps: int | None = None,
        guidance_scale: float | None = None,
        finish_seconds: bool = False,
        traffic: TrafficKind | None = None,
    ) -> None:
        # Read once: a pipeline reads them from its configuration every time.
        settings = self._settings = pipeline.settings
        self.finish_seconds = finish_seconds
        self.road_users = RoadUsers(settings.move_vehicles, traffic)
        self.name = name
        self.pipeline = pipeline
        self.image_size: ImageSize = settings.image_size if image_size is None else (image_size[0], image_size[1])
        self._generation = pipeline.generation(micro_batch)
        multiple = pipeline.codec.spatial_factor * pipeline.coarse.config.patch_size
        worked = self._generation.coarse_size(self.image_size)
        if any(side < multiple or side % multiple for side in worked):
            raise InvalidConfig(
                f"image_size={self.image_size} does not fit the world {name!r}: its sides must be multiples of "
                f"{multiple} pixels; its own is {settings.image_size}"
            )
        self._coarse_steps = settings.coarse_steps if coarse_steps is None else coarse_steps
        self._fine_steps = settings.fine_steps if fine_steps is None else fine_steps
        self._guidance_scale = settings.guidance_scale if guidance_scale is None else guidance_scale
        self._memory = DriveMemory(settings)
        self._texts: dict[str, Tensor] = {}
        self._opened_from: str | None = None

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        device: str | torch.device | None = None,
        image_size: ImageSize | None = None,
        dtype: torch.dtype | None = None,
        micro_batch: int | None = None,
        name: str | None = None,
        traffic: TrafficKind | None = None,
    ) -> "DiffusionWorld":
        """A world from a folder that ``LongDWMPipeline.save_pretrained`` wrote, or from a hub id.

        Args:
            path: the folder, or ``owner/name`` on the hub.
            device: where it runs; None for a GPU where there is one.
            image_size: see the class.
            dtype: of the weights; None for bfloat16 on a GPU, float32 on a CPU.
            micro_batch: see the class.
            name: what the environment shows; None for the path.
            traffic: see the class.

        Raises:
            UnknownWorld: the path is neither a pipeline's folder nor a hub id that can be fetched.
            MissingWeights: a file is missing or damaged, or weights do not fit their configuration.
            InvalidConfig: the device does not exist here, or the image size does not fit.
        """
        shown = str(path) if name is None else name
        world = cls(pipeline_on(device, path, dtype), shown, image_size, micro_batch, traffic=traffic)
        world._opened_from = str(path)
        return world

    def begin(self, scene: Scene, seed: int) -> WorldState:
        """The state at a scene's start, with the seconds before it that the scene recorded; see ``WorldModel.begin``.

        Where they show another weather or time of day than the prompt says, which was changed since, only the present
        frame is left of them, and it is drawn again as the prompt says (``redraw``).

        Raises:
            ValueError: the scene has no camera, or one for another image size.
        """
        camera = scene.camera
        if camera is None or camera.intrinsics.image_size != self.image_size:
            raise ValueError(
                f"scene {scene.key!r} must come with a camera for images of {self.image_size}, got {camera}"
            )
        with self._suspecting():
            return self._begun(scene, camera, seed)

    def _begun(self, scene: Scene, camera: Camera, seed: int) -> WorldState:
        arrays, values = self._memory.begin(scene, camera, seed)
        composes = self.pipeline.compositor is not None
        if composes:
            beside, said = scenery_arrays(scene)
            arrays, values = {**arrays, **beside}, {**values, **said}
        changed = scene.log_prompt is not None and says_conditions(scene.prompt)
        if changed:  # what the scene shows may be another sky
            values["sky_from"] = GUIDED_FRAMES
        others = self.road_users.begin(scene, camera)
        values, arrays = {**values, **others.values}, {**arrays, **others.arrays}
        state = WorldState(arrays, values, others.actors)
        if scene.log_prompt is not None and contradicts(scene.prompt, scene.log_prompt):
            drawn = {**arrays, "frames": self._redrawn(state)[None]}
            state = replace(state, arrays=drawn, values={**values, "redrawn": True})
        # A street that is carried on obeys no prompt, as the models do.
        return with_street(state) if shows_street(state, self._settings, composes) and not changed else state

    def advance(
        self, states: Sequence[WorldState], trajectories: Sequence[Trajectory], num_frames: int
    ) -> tuple[list[WorldState], Images]:
        """Generate the next second of each state and execute ``num_frames`` of it; see ``WorldModel.advance``."""
        step = clock.FRAMES_PER_INTERVAL
        if not 1 <= num_frames <= step:
            raise ValueError(f"1 to {step} frames are executed at once, got {num_frames}")
        for trajectory in trajectories:
            if len(trajectory.poses) < step:
                raise ValueError(
                    f"a trajectory must reach one interval ahead, {step} frames; got {len(trajectory.poses)}"
                )
        with self._suspecting():
            if self._generation.each_alone and len(states) > 1:
                # One task a driver, with his traffic: else one core would move everybody's before the others begin.
                pairs = zip(states, trajectories, strict=True)
                made = self._generation.run([partial(self._advanced, [s], [t], num_frames) for s, t in pairs])
                return [state for (state,), _ in made], stack_frames([clip for _, (clip,) in made])
            following, clips = self._advanced(states, trajectories, num_frames)
            return following, stack_frames(clips)

    def _suspecting(self) -> AbstractContextManager[None]:
        """Around what a saved pipeline generates; see ``closed_loop.trial``."""

        def drive(scene: Scene, trajectory: Trajectory) -> None:
            assert scene.camera is not None
            self._advanced([self._begun(scene, scene.camera, 0)], [trajectory], 1)

        return suspecting(self._opened_from, self.image_size, drive)

    def _advanced(
        self, states: Sequence[WorldState], trajectories: Sequence[Trajectory], num_frames: int
    ) -> tuple[list[WorldState], list[Images]]:
        """As ``advance``, with the clips apart."""
        poses = [trajectory.poses[: clock.FRAMES_PER_INTERVAL] for trajectory in trajectories]
        rests = [
            rest_of_second(*each, num_frames) if self.finish_seconds else None
            for each in zip(states, poses, strict=True)
        ]
        # Who goes on with a second knows already where the others will be; their state is needed where he stops.
        frames = [clock.FRAMES_PER_INTERVAL if rest is None else num_frames for rest in rests]
        others = [self._others(*each) for each in zip(states, trajectories, frames, strict=True)]
        tracks = [each.tracks for each in others]
        given = list(zip(states, poses, tracks, strict=True))
        made = iter(self._seconds([each for each, rest in zip(given, rests, strict=True) if rest is None], num_frames))
        begun = [each for each in zip(states, rests, strict=True) if each[1] is not None]
        going_on = iter(self._gone_on(begun, num_frames))
        seconds = [next(made) if rest is None else next(going_on) for rest in rests]
        nexts = [self._memory.after(*each, num_frames) for each in zip(states, seconds, poses, others, strict=True)]
        return nexts, [second.frames[:num_frames] for second in seconds]

    @property
    def device(self) -> str:
        """Where it works; see ``GenerativeWorld``."""
        return str(self._generation.device)

    def recent_frames(self, state: WorldState, count: int) -> Images:
        """Up to ``count`` frames that were seen last; see ``GenerativeWorld``."""
        return state.arrays["frames"][-count:]

    def uncertainty(self, states: Sequence[WorldState], trajectories: Sequence[Trajectory]) -> FloatArray:
        """How far predictions of each next keyframe differ; see ``UncertainWorld`` and ``models.uncertainty``."""
        step = clock.FRAMES_PER_INTERVAL
        passes = []
        for state, trajectory in zip(states, trajectories, strict=True):
            tracks = self._others(state, trajectory).tracks
            present = self._present(state, self._boxes(state, tracks, trajectory.poses[:step]))
            sampling = self._sampling(self._turns(present)).guided(present.guidance_scale)
            passes.append(partial(prediction_spread, self._generation, present, trajectory.poses[step - 1], sampling))
        return np.array(self._generation.run(passes))

    def _seconds(
        self, given: Sequence[tuple[WorldState, FloatArray, ActorTracks | None]], num_frames: int
    ) -> list[Second]:
        """As ``_generated``, of drives along the street of their first picture too."""
        made = iter(self._generated([each for each in given if not has_street(each[0])], num_frames))
        wanted = clock.FRAMES_PER_INTERVAL if self.finish_seconds else num_frames
        return [
            street_second(state, ahead[:wanted], camera_of(state), self.pipeline.street_tones)
            if has_street(state)
            else next(made)
            for state, ahead, _ in given
        ]

    def _generated(
        self, given: Sequence[tuple[WorldState, FloatArray, ActorTracks | None]], num_frames: int
    ) -> list[Second]:
        """As many frames as are executed, or seconds that can be gone on with, where these are to be finished.

        Args:
            given: states, poses (12, 3) to come, and the other road users meanwhile.
            num_frames: how many are executed.
        """
        if not given:
            return []
        presents = self._generation.run([partial(self._looking_ahead, *each) for each in given])
        sampling = self._sampling(any(self._turns(present) for present in presents))
        poses = [ahead for _, ahead, _ in given]
        made = self._generation.second(presents, poses, sampling, num_frames, self.finish_seconds)
        seconds = []
        for clip, present, (state, ahead, others) in zip(made, presents, given, strict=True):
            now = state.arrays["track"][-1]
            frames = as_seen(clip, state, ahead, others, num_frames)
            if frames is clip and num_frames < len(clip) and self._generation.composes(present):
                assert present.surroundings is not None
                opened = Opened(present.history[-1], clip[-1], present.surroundings.poses, others)
                second = Second(clip[:-1], compose(now, ahead), opened)
            else:
                second = Second(frames, compose(now, ahead[: len(frames)]))
            sky = None if present.surroundings is None else present.surroundings.sky
            seconds.append(second if sky is None else replace(second, sky=sky.seen))
        return seconds

    def _looking_ahead(self, state: WorldState, ahead: FloatArray, others: ActorTracks | None) -> Present:
        """What a driver has seen, and what is known of his next second."""
        present = self._present(state, self._boxes(state, others, ahead))
        around = self._surroundings(state, others, ahead)
        later = state.values.get("sky_from", 0)
        if around is not None and present.counter >= later:
            specks_px = DRAWN_PX if later else DROP_PX if says_rain(state.values["prompt"]) else 0.0
            around = around.looked_up(present.history[-1], present.camera, specks_px)
        return replace(present, surroundings=around)

    def _gone_on(self, begun: Sequence[tuple[WorldState, Second | None]], num_frames: int) -> list[Second]:
        """Seconds that were begun before, with as many frames made as are executed."""
        seconds = [second for _, second in begun if second is not None]
        unmade: list[tuple[int, Present, Opened, range]] = []
        for index, (state, second) in enumerate(begun):
            if second is None or second.opened is None:
                continue
            opened = second.opened
            done = clock.FRAMES_PER_INTERVAL - len(second.track)
            around = surroundings_of(state, opened.poses, opened.others, self._settings.sky_memory)
            present = self._memory.present_at(state, self._text(state.values["prompt"]), opened.first, done, around)
            unmade.append((index, present, opened, range(done + 1, done + num_frames + 1)))
        clips = self._generation.rest_of_second(
            [present for _, present, _, _ in unmade],
            [opened.keyframe for _, _, opened, _ in unmade],
            [numbers for _, _, _, numbers in unmade],
        )
        for (index, _, _, _), clip in zip(unmade, clips, strict=True):
            seconds[index] = replace(seconds[index], frames=clip)
        return seconds

    def _redrawn(self, state: WorldState) -> Images:
        """The present frame of a state, (H, W, 3), as its prompt says."""
        now, camera = state.arrays["track"][-1], camera_of(state)
        others = state.actors if self.pipeline.compositor is not None else pictured(state, state.actors, camera)
        boxes = None if others is None else seen_boxes(others, [0, 0], np.stack([now, now]), camera)
        present = self._present(state, boxes)
        surroundings = self._surroundings(state, state.actors, np.zeros((0, 3)))
        present = replace(present, surroundings=surroundings)

        def drawn() -> Images:
            picture = restyled(self._generation, present, self._sampling(guided=True))
            return self._generation.restyled(present, picture)

        return self._generation.run([drawn])[0]

    def _turns(self, present: Present) -> bool:
        """Whether a driver's keyframes are guided more strongly than all others."""
        return present.guidance_scale > self._guidance_scale

    def _sampling(self, guided: bool = False) -> Sampling:
        """Steps and guidance; with the text to guide away from, where that is needed."""
        away = self._text("")[None] if guided or self._guidance_scale != 1 else None
        return Sampling(self._coarse_steps, self._fine_steps, self._guidance_scale, away)

    def _others(self, state: WorldState, trajectory: Trajectory, frames: int = clock.FRAMES_PER_INTERVAL) -> Meanwhile:
        """The other road users at some frames to come and now, near or far, in the picture or not."""
        with timing.stage("geometry"):
            return self.road_users.ahead(state, trajectory, camera_of(state), layout_near(state), frames)

    def _surroundings(self, state: WorldState, others: ActorTracks | None, ahead: FloatArray) -> Surroundings | None:
        """What is known of the frames to come, in the world frame."""
        if self.pipeline.compositor is None:
            return None
        now = state.arrays["track"][-1]
        poses = np.concatenate([now[None], compose(now, np.asarray(ahead, np.float64).reshape(-1, 3))])
        return surroundings_of(state, poses, others, self._settings.sky_memory)

    def _boxes(self, state: WorldState, others: ActorTracks | None, ahead: FloatArray) -> FloatArray | None:
        """Where the other road users are seen now and a second later, (2, A, 5), from where the ego will be."""
        if self.pipeline.compositor is None:
            others = pictured(state, others, camera_of(state))
        if others is None:
            return None
        now = state.arrays["track"][-1]
        poses = np.stack([now, compose(now, ahead[-1])])
        return seen_boxes(others, [0, clock.FRAMES_PER_INTERVAL], poses, camera_of(state))

    def _present(self, state: WorldState, boxes: FloatArray | None = None) -> Present:
        values = state.values
        turning = values.get("redrawn", False) and values["frames_driven"] < GUIDED_FRAMES
        return replace(
            self._memory.present(state, self._text(values["prompt"])),
            boxes=boxes,
            guidance_scale=DRIVING_GUIDANCE_SCALE if turning else 0.0,
        )

    def _text(self, prompt: str) -> Tensor:
        """Embedding of a prompt, (S, D): the cache only saves time, the text encoder gives the same each time."""
        known = self._texts.get(prompt)
        if known is None:
            if self.pipeline.tokenizer is None or self.pipeline.text_encoder is None:
                raise MissingWeights(
                    f"world {self.name!r} has no tokenizer or no text encoder, and a drive has a prompt"
                )
            if len(self._texts) >= _PROMPTS_KEPT:
                self._texts.pop(next(iter(self._texts), ""), None)
            with timing.stage("coarse"):
                self._texts[prompt] = encoded = self.pipeline.encode_text([prompt])[0]
            return encoded
        return known
