"""A rollout in parts, and what each part leaves for the next."""

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from longdwm_env.errors import InvalidConfig, InvalidState
from longdwm_env.factory import DEFAULT_WORLD, shown_image_size
from longdwm_env.io.files import content_hash
from longdwm_env.types import JsonObject

if TYPE_CHECKING:
    import gymnasium as gym
    import numpy as np

    from longdwm_env.env import LongDWMEnv
    from longdwm_env.io.routes import Route
    from longdwm_env.state import EnvState
    from longdwm_env.types import Images

PART_S = 5
"""Seconds in a part: what an interrupted run loses at most."""

BUILT_IN = "simulator:"

Mode = Literal["second", "keyframes"]

LANE = "lane"
"""The trajectory that no file holds: whatever keeps the car in its lane."""


@dataclass(frozen=True)
class Request:
    """What was asked for; a run goes on from another's parts only where this is the same."""

    image: str
    trajectory: str
    seconds: float
    world: str
    seed: int
    prompt: str | None
    image_size: tuple[int, int] | None
    device: str | None
    mode: Mode = "second"


def open_environment(request: Request) -> "tuple[gym.Env, LongDWMEnv]":
    """The environment of a request, reset to where it starts: with its wrappers, and without."""
    import gymnasium as gym

    built_in = request.image.startswith(BUILT_IN)
    size = request.image_size
    if request.mode == "second":
        size = shown_image_size(request.world, size)
    environment = gym.make(
        "longdwm_env:LongDWM-v0",
        world=request.world,
        scenes=None if built_in else request.image,
        image_size=size,
        prompt=request.prompt,
        device=request.device,
        max_episode_s=request.seconds,
        disable_env_checker=True,
    )
    scene = {"scene": _built_in_seed(request.image)} if built_in else {"scene": 0}
    environment.reset(seed=request.seed, options=scene)
    return environment, cast("LongDWMEnv", environment.unwrapped)


class Run:
    """One rollout in parts: a folder beside the target holds finished parts, the state after them, and the request.

    Args:
        request: what was asked for.
        out: the mp4 to write.

    Raises:
        InvalidConfig: the folder holds parts of another request.
    """

    def __init__(self, request: Request, out: Path) -> None:
        self.request = request
        self.out = out
        self.folder = out.with_name(out.name + ".parts")
        self.preview = out.with_name(out.stem + ".preview.mp4")
        self.parts = 0
        self.frames = 0
        self.ended = ""
        self.inputs: dict[str, str] = {}

    def discard(self) -> None:
        """Forget what an earlier run left behind."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def go_on(self) -> str:
        """Drive to the end, part by part; returns why it ended early, or nothing."""
        from tqdm import tqdm

        from longdwm_env import clock
        from longdwm_env.io.video import VideoWriter

        request = self.request
        environment, env = open_environment(request)
        start = env.get_state()
        self.inputs = inputs_of(request, start)
        plan = self._plan(environment, start)
        env.set_state(self._resume(start))
        total = round(request.seconds * clock.FPS)
        rate = tqdm(total=total, initial=self.frames, unit="frame", desc=request.world, smoothing=0.1)
        reason = self.ended

        def seen(clip: "Images") -> None:
            preview.write(clip)
            rate.update(len(clip))

        with rate, VideoWriter(self.preview, env.get_state().image_size, preview=True) as preview:
            preview.write(env.get_state().frames[-1])
            while self.frames < total and not reason:
                wanted = min(PART_S * clock.FPS, total - self.frames)
                reason = self._part(env, plan, wanted, seen)
        environment.close()
        return reason

    def _plan(self, environment: "gym.Env", start: "EnvState") -> "Callable[[EnvState], np.ndarray]":
        """What to ask for at a state: a function of the state alone, so that a run can go on anywhere."""
        from longdwm_env.agents.policies.privileged import LaneKeeping
        from longdwm_env.agents.policy import PolicyContext
        from longdwm_env.io.routes import open_route

        request = self.request
        if request.trajectory == LANE:
            keeper = LaneKeeping(PolicyContext.of(environment))
            keeper.reset(None, {})
            return lambda state: keeper.act(None, {})
        route = open_route(request.trajectory, request.seconds, start_speed_mps=start.ego.speed_mps or None)
        return lambda state: route_action(route, start, state)

    def _part(
        self,
        env: "LongDWMEnv",
        plan: "Callable[[EnvState], np.ndarray]",
        wanted: int,
        seen: "Callable[[Images], None]",
    ) -> str:
        """Drive one part and put it beside the others, then the state after it."""
        from longdwm_env.io.video import VideoWriter

        made, reason = 0, ""
        with VideoWriter(self._part_path(self.parts), env.get_state().image_size) as video:
            while made < wanted and not reason:
                observation, _, terminated, _, _ = env.step(plan(env.get_state()))
                assert isinstance(observation, Mapping)
                clip = observation["frames"]
                video.write(clip)
                seen(clip)
                made += len(clip)
                if terminated:
                    reason = env.get_state().reason
        self.parts, self.frames = self.parts + 1, self.frames + made
        env.get_state().save(self.folder / f"state-{self.parts:05d}.safetensors")
        self._record(reason)
        (self.folder / f"state-{self.parts - 1:05d}.safetensors").unlink(missing_ok=True)
        return reason

    def finish(self) -> None:
        """Join the parts into the target without encoding them again, and clean up."""
        join_videos([self._part_path(index) for index in range(self.parts)], self.out)
        shutil.rmtree(self.folder)
        self.preview.unlink(missing_ok=True)

    def _resume(self, start: "EnvState") -> "EnvState":
        """The state to go on from: after the finished parts of an earlier run, or the start."""
        from longdwm_env.state import EnvState

        self._take_up()
        if self.parts == 0:
            return start
        try:
            return EnvState.load(self.folder / f"state-{self.parts:05d}.safetensors")
        except (FileNotFoundError, InvalidState) as error:
            raise InvalidConfig(f"{self.folder} is damaged ({error}); give --restart to begin again") from error

    def _take_up(self) -> None:
        """Learn from the folder how far an earlier run came; a new one is noted there."""
        record = self.folder / "run.json"
        asked_now = {"request": _as_json(self.request), "inputs": self.inputs}
        if not record.is_file():
            self._record("")
            return
        try:
            values = json.loads(record.read_text(encoding="utf-8"))
            asked = {"request": values["request"], "inputs": values.get("inputs")}
            self.parts, self.frames, self.ended = int(values["parts"]), int(values["frames"]), str(values["ended"])
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidConfig(f"{record} is damaged ({error}); give --restart to begin again") from error
        if asked != asked_now:
            what = (
                "of other options"
                if asked["request"] != asked_now["request"]
                else _changed(asked["inputs"], self.inputs)
            )
            raise InvalidConfig(f"{self.folder} holds an unfinished run {what}; give --restart to discard it")
        if self.parts == 0:
            return
        print(f"going on after {self.frames} frames", file=sys.stderr)
        if lost := [path.name for path in map(self._part_path, range(self.parts)) if not path.is_file()]:
            raise InvalidConfig(f"{self.folder} lacks {', '.join(lost)}; give --restart to begin again")

    def _record(self, ended: str) -> None:
        from longdwm_env.io.files import atomic_write_json

        values: dict[str, object] = {"request": _as_json(self.request), "inputs": self.inputs}
        values |= {"parts": self.parts, "frames": self.frames, "ended": ended}
        atomic_write_json(self.folder / "run.json", values)

    def _part_path(self, index: int) -> Path:
        return self.folder / f"part-{index:05d}.mp4"


def inputs_of(request: Request, start: "EnvState") -> dict[str, str]:
    """Hashes of what a run is made from: another picture, pose file or world under the same name is another run."""
    import hashlib

    from longdwm_env.models.bundled import MINI
    from longdwm_env.scenes.made_roads import without_words

    named = {
        "image": Path(without_words(request.image)[0]),
        "trajectory": Path(request.trajectory),
        "world": Path(request.world),
    }
    if request.world == DEFAULT_WORLD:
        named["world"] = MINI
    # Folders of scenes may be large; what is driven from is what they start with.
    hashed = {name: path for name, path in named.items() if path.is_file() or (name == "world" and path.is_dir())}
    begun = hashlib.blake2b(
        repr((start.prompt, start.camera, start.ego)).encode("utf-8", "surrogatepass"), digest_size=12
    )
    begun.update(start.frames.tobytes())
    return {name: content_hash(path) for name, path in hashed.items()} | {"scene": begun.hexdigest()}


def _changed(before: dict[str, str] | None, now: dict[str, str]) -> str:
    if before is None:
        return "of an earlier version"
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return f"from before {' and '.join(names)} changed"


def route_action(route: "Route", start: "EnvState", now: "EnvState") -> "np.ndarray":
    """Waypoints (4, 2) to where the route will be, from where the car really is, so that errors do not add up."""
    import numpy as np

    from longdwm_env.clock import FPS, WAYPOINT_TIMES_S
    from longdwm_env.geometry.pose import compose, relative_to

    due = now.frames_driven + np.round(np.array(WAYPOINT_TIMES_S) * FPS).astype(int)
    places = compose(np.broadcast_to(start.ego.pose, (len(due), 3)), route.poses_at(due))
    ahead = relative_to(places, np.broadcast_to(now.ego.pose, places.shape))
    return ahead[:, :2].astype(np.float32)


def join_videos(parts: list[Path], out: Path) -> None:
    """Put mp4 files of one encoder one after the other, packet by packet."""
    import av

    from longdwm_env.io.files import atomic_path

    with atomic_path(out) as temporary, av.open(str(temporary), "w", format="mp4") as joined:
        target, offset = None, 0
        for path in parts:
            with av.open(str(path)) as part:
                source = part.streams.video[0]
                if target is None:
                    target = joined.add_stream_from_template(source)
                ends = [offset]
                for packet in part.demux(source):
                    if packet.dts is None:
                        continue
                    duration = packet.duration or 0
                    packet.pts = (packet.pts or 0) + offset
                    packet.dts += offset
                    ends.append(packet.pts + duration)
                    packet.stream = target
                    joined.mux(packet)
                offset = max(ends)


def _built_in_seed(image: str) -> int:
    number = image.removeprefix(BUILT_IN)
    if not number.isdigit():
        raise InvalidConfig(f"{image!r} names no built-in scene; write {BUILT_IN}7")
    return int(number)


def _as_json(request: Request) -> JsonObject:
    from dataclasses import asdict

    values = asdict(request)
    if request.mode == "second":
        # So that a run that an earlier version left behind is still gone on with.
        del values["mode"]
    return {**values, "image_size": None if request.image_size is None else list(request.image_size)}
