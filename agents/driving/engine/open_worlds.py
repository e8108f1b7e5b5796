"""Worlds that are open, and what they can be asked for. Every answer is a ``Moment``; no request changes another's.

One thread at a time calls this, beside the window.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from longdwm_env.actions import ActionMode
from longdwm_env.agents.driving.engine import prompt_cycling as prompts
from longdwm_env.agents.driving.engine import simulator_state
from longdwm_env.agents.driving.engine.driven_log import DrivenLog
from longdwm_env.agents.driving.engine.timeline import Act, Moment
from longdwm_env.agents.driving.engine.world_worker import Part
from longdwm_env.agents.driving.input.pedals import Controls
from longdwm_env.agents.driving.recording.picture_sizes import PictureSizes
from longdwm_env.clock import FPS
from longdwm_env.env_options import EnvOptions, open_episodes
from longdwm_env.episode import Episodes, Outcome, made_here
from longdwm_env.episodes.lazy_frames import Frames
from longdwm_env.episodes.observation import Timing, info_from
from longdwm_env.episodes.starts import as_begun
from longdwm_env.errors import InvalidConfig, LongDWMError
from longdwm_env.factory import make_world, own_image_size
from longdwm_env.geometry.camera import fit_images
from longdwm_env.geometry.kinematics import CAR
from longdwm_env.scenes import ScenesLike, open_scenes
from longdwm_env.state import EnvState
from longdwm_env.types import FloatArray, Images, ImageSize
from longdwm_env.world import FinishingWorld, WorldModel

QUICK_FRAMES = 1
"""Frames between two actions in worlds that draw a frame in a fraction of its time: they answer soonest."""

LEARNED_FRAMES = 4
"""In learned worlds: every action begins a new keyframe, which takes a while to make and adds its error."""

FIRST_SHOWN = 2
"""Of a clip in a world that makes its frames one by one: these are shown while the others are made."""

LONGEST_DRIVE_S = 24 * 3600.0
"""The clock stops no drive that is for pleasure."""

REFERENCE_WORLD = "simulator"
"""The world that knows only its own scenes: it cannot start from a picture, but it can drive the same way again."""

QUICK_WORLDS = ("warp", REFERENCE_WORLD, simulator_state.TINY)


@dataclass(frozen=True, eq=False)
class OpenScene:
    """Begin a scene in a world. ``scene`` is a key, or None to let the seed choose."""

    world: str
    seed: int
    scene: str | None = None
    prompt: str | None = None


@dataclass(frozen=True, eq=False)
class Drive:
    """Drive on from a moment by an action; ``controls`` is where the steering wheel then is."""

    moment: Moment
    act: Act
    controls: Controls | None = None


@dataclass(frozen=True, eq=False)
class Change:
    """The same moment in another world or under another prompt.

    Attributes:
        path: all acts from the scene's start to now; from ``known``, where that is given.
        frames, poses: (T, H, W, 3) and (T, 3) what was seen and driven up to now.
        known: an earlier moment of the same drive in the wanted world, where there is one.
    """

    moment: Moment
    path: tuple[Act, ...]
    world: str
    prompt: str
    frames: Images
    poses: FloatArray
    known: Moment | None = None


class EndedOnTheWay(InvalidConfig):
    """The same drive ends earlier in the other world, for example because there is a car in the way."""


class Generator:
    """Opens worlds when they are first needed, and answers requests.

    Args:
        scenes: where drives start; as for the environment.
        sizes: of each world's pictures, or (height, width) for all; None for what suits each.
        control_frames: frames between two actions; None for what suits each world, see ``frames_of``.
        device: for learned worlds.
        worlds: objects to use for some names instead of opening them.
    """

    def __init__(
        self,
        scenes: ScenesLike,
        sizes: PictureSizes | ImageSize | None,
        control_frames: int | None = None,
        device: str | None = None,
        worlds: dict[str, WorldModel] | None = None,
    ) -> None:
        self.source = open_scenes(scenes)
        self.sizes = sizes if isinstance(sizes, PictureSizes) else PictureSizes(sizes)
        self.control_frames = control_frames
        self._device = device
        self._worlds: dict[str, WorldModel] = dict(worlds or {})
        self._warm: set[tuple[str, str]] = set()
        self._rules: dict[tuple[str, str, int], Episodes] = {}
        self.on_progress: Callable[[str, float], None] = lambda what, share: None

    def open_scene(self, request: OpenScene) -> Moment:
        """The start of a scene. The world draws one clip from there that is not shown, so that its caches are warm."""
        rules = self.rules(request.world, "control", self.frames_of(request.world))
        options: dict[str, object] = {} if request.scene is None else {"scene": request.scene}
        if request.prompt is not None:
            options["prompt"] = request.prompt
        moment = _first_moment(rules.begin(request.seed, options))
        self._warm_up(moment, rules)
        return moment

    def drive(self, request: Drive) -> Moment:
        """The moment after an action.

        Raises:
            InvalidAction: the action is not allowed.
        """
        return self.drive_all([request])[0]

    def drive_in_parts(self, request: Drive, goes_on: Callable[[], bool] = lambda: True) -> Iterator[Part]:
        """The moments that an action leads through, each as soon as it is there: its first frames, then the others.

        They are driven by the same action, as if it had been given again: in a world that goes on with its seconds that
        is one way, made once.

        Args:
            request: what is driven.
            goes_on: asked when the first part is there, whether the others are still wanted.

        Raises:
            InvalidAction: the action is not allowed.
        """
        moment, frames = request.moment, request.act.frames
        finishes = isinstance(self.world(moment.state.world), FinishingWorld) and frames >= 2 * FIRST_SHOWN
        left = [FIRST_SHOWN, frames - FIRST_SHOWN] if finishes else [frames]
        while left:
            act = replace(request.act, frames=left.pop(0))
            moment = self.drive(Drive(moment, act, request.controls))
            left = [] if moment.over or not goes_on() else left
            yield Part(moment, bool(left))

    def drive_all(self, requests: Sequence[Drive]) -> list[Moment]:
        """The moments after actions of one kind, in one world: made in one batch, each as if it were made alone.

        Raises:
            InvalidAction: one of the actions is not allowed.
        """
        first, act = requests[0].moment.state, requests[0].act
        rules = self.rules(first.world, act.mode, act.frames)
        begun = time.perf_counter()
        names = ["action" if len(requests) == 1 else f"action {index}" for index in range(len(requests))]
        actions = rules.check_actions([request.act.action for request in requests], names)
        outcomes = rules.advance([request.moment.state for request in requests], actions)
        made_in_s = time.perf_counter() - begun
        return [_after(request, outcome, made_in_s) for request, outcome in zip(requests, outcomes, strict=True)]

    def change(self, request: Change) -> Moment:
        """The same moment elsewhere.

        A world that starts from pictures begins anew from the present ones. The reference simulator cannot: it drives
        the same actions from the scene's start again, which ends at exactly the same pose and time, because
        the ego follows its trajectory in every world alike.

        Raises:
            InvalidConfig: the world cannot be at this moment; the message says why.
        """
        if request.world == REFERENCE_WORLD:
            return self._driven_again(request)
        return self._from_pictures(request)

    def frames_of(self, world: str) -> int:
        """Frames between two actions in a world."""
        if self.control_frames is not None:
            return self.control_frames
        return QUICK_FRAMES if world in QUICK_WORLDS else LEARNED_FRAMES

    def rules(self, world: str, mode: ActionMode, frames: int) -> Episodes:
        """The engine of a world for one kind of action."""
        key = (world, mode, frames)
        if key not in self._rules:
            options = EnvOptions(
                world=self.world(world),
                scenes=self.source,
                action_mode=mode,
                control_period_s=frames / FPS,
                max_episode_s=LONGEST_DRIVE_S,
            )
            self._rules[key] = open_episodes(options)
        return self._rules[key]

    def world(self, name: str) -> WorldModel:
        """An open world, by the name it was asked for.

        Raises:
            UnknownWorld: there is none of this name.
        """
        if name not in self._worlds:
            built_in = name in ("warp", REFERENCE_WORLD)
            self.on_progress(f"opening {name}", 0.0)
            if name == simulator_state.TINY:
                opened: WorldModel = make_world(REFERENCE_WORLD, simulator_state.TINY_SIZE)
                self._worlds[name] = opened
                return opened
            opened = make_world(name, self.sizes.of(name), None if built_in else self._device)
            if isinstance(opened, FinishingWorld):
                # Input that stays the same needs no new keyframe twice a second.
                opened.finish_seconds = True
            # States carry the name that a world gives itself, which for a folder may be shorter than its path.
            self._worlds[name] = self._worlds[opened.name] = opened
        return self._worlds[name]

    def quicker_size(self, world: str) -> ImageSize | None:
        """The size (height, width) of its own that an open learned world is quicker at; None where it is none."""
        if world in QUICK_WORLDS:
            return None
        with suppress(LongDWMError):  # a world that was given, not named, has no other size
            own = own_image_size(world)
            return own if own[0] < self.world(world).image_size[0] else None
        return None

    @property
    def opened(self) -> dict[str, WorldModel]:
        """The worlds that are open, by name."""
        return dict(self._worlds)

    def _driven_again(self, request: Change) -> Moment:
        state = request.moment.state
        if self.source.name != "builtin":
            raise InvalidConfig(f"the simulator knows its built-in scenes only, not {state.scene!r}")
        begin = OpenScene(request.world, state.seed, state.scene, request.prompt)
        start = self.open_scene(begin)
        if not request.path:
            return replace(start, number=request.moment.number)
        moment = start if request.known is None else request.known
        # Only the last clip will be looked at. The way there needs traffic, not pictures, so it is driven tiny.
        *way, last = request.path
        if way:
            moment = simulator_state.retold(moment, self.open_scene(replace(begin, world=simulator_state.TINY)))
        for done, act in enumerate(way):
            self.on_progress(f"driving the same way in {request.world}", done / len(way))
            rules = self.rules(simulator_state.TINY, act.mode, act.frames)
            (outcome,) = rules.advance([moment.state], rules.check_actions([act.action], ["action"]))
            moment = replace(moment, state=outcome.state)
            if moment.over:
                reason = moment.state.reason.replace("_", " ")
                why = ": a road user that this world did not have was in the way" if reason == "collision" else ""
                raise EndedOnTheWay(
                    f"not to {request.world}: there the same drive ended in {reason} at {moment.time_s:.1f} s{why}"
                )
        arrived = self.drive(Drive(simulator_state.retold(moment, start), last, request.moment.controls))
        return replace(arrived, number=request.moment.number)

    def _from_pictures(self, request: Change) -> Moment:
        before = request.moment
        world = self.world(request.world)
        rules = self.rules(request.world, "control", self.frames_of(request.world))
        camera = before.state.camera.fitted(world.image_size)
        clip = Frames.of(fit_images(before.state.frames, world.image_size))
        scene = replace(
            rules.scene_of_key(before.state.scene),
            log=DrivenLog(request.frames, request.poses),
            camera=camera,
            start=before.state.ego,
            driven=before.state.world_state,
            prompt=request.prompt,
            log_prompt=None if request.prompt == before.state.prompt else prompts.spelt_out(before.state.prompt),
        )
        world_state = world.begin(scene, before.state.seed)
        state = replace(
            before.state,
            world=world.name,
            image_size=world.image_size,
            camera=camera,
            clip=as_begun(clip, world, world_state, scene),
            prompt=request.prompt,
            world_state=world_state,
        )
        moment = replace(before, state=made_here(state), made_in_s=0.0)
        self._warm_up(moment, rules)
        return moment

    def _warm_up(self, moment: Moment, rules: Episodes) -> None:
        known = (moment.state.world, moment.state.scene)
        if known not in self._warm:
            self._warm.add(known)
            rules.advance([moment.state], [np.zeros(2, np.float32)])


def _first_moment(state: EnvState) -> Moment:
    held = Controls(CAR.steering_rad(state.ego.curvature_per_m), 0.0)
    info = info_from(state, Timing({"total": 0.0}, 0.0))
    return Moment(state, controls=held, origin=state.ego.pose, info=info)


def _after(request: Drive, outcome: Outcome, made_in_s: float) -> Moment:
    state = outcome.state
    held = Controls(CAR.steering_rad(state.ego.curvature_per_m), state.ego.acceleration_mps2)
    return Moment(
        state=state,
        number=request.moment.number + 1,
        controls=held if request.controls is None else request.controls,
        trajectory=outcome.trajectory,
        origin=request.moment.state.ego.pose,
        act=request.act,
        info=outcome.info,
        made_in_s=made_in_s,
    )
