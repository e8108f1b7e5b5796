"""From the words of the command line to a session that is ready to run."""

from dataclasses import replace
from pathlib import Path

from longdwm_env.agents.driving.engine.drive_options import DriveOptions
from longdwm_env.agents.driving.engine.following import Script
from longdwm_env.agents.driving.engine.open_worlds import REFERENCE_WORLD, Generator, OpenScene
from longdwm_env.agents.driving.engine.session import Session
from longdwm_env.agents.driving.engine.world_worker import InlineWorker, ThreadWorker, Worker
from longdwm_env.agents.driving.input.driver_input import DriverInputs
from longdwm_env.agents.driving.input.policy_driver import PolicyDriver
from longdwm_env.agents.driving.recording.journal import Journal
from longdwm_env.agents.driving.recording.picture_sizes import PictureSizes
from longdwm_env.clock import control_frames
from longdwm_env.errors import InvalidConfig
from longdwm_env.factory import BUILT_IN_WORLDS, DEFAULT_WORLD, MINI
from longdwm_env.scenes.made_roads import with_words

START = "start"
"""Folder in a pipeline's with the scenes that it is driven from when none is named."""

POLICY_FRAMES = 6
"""Frames between two actions of a policy, unless the command line says otherwise."""


def open_session(
    options: DriveOptions,
    inline: bool = False,
    journal: Journal | None = None,
    before: Session | None = None,
) -> tuple[Session, DriverInputs]:
    """A session with its worlds and drivers.

    Args:
        options: what was asked for.
        inline: generate in the caller's thread, for drives without a window. A policy must drive then: without a
            policy or a replay, one of ours does.
        journal: a drive to watch again; else the one that ``options.replay`` names, if it names one.
        before: a session that this one takes the place of: its open worlds and its thread are used on. It must not be
            ticked until the new one is dropped.

    Raises:
        InvalidConfig: an option is not allowed.
        InvalidScene: the scene cannot be read.
        InvalidReplay: the replay file cannot be read.
    """
    if journal is None and options.replay is not None:
        journal = Journal.load(options.replay)
    opening, scenes = _opening(options)
    if inline and options.policy is None and journal is None:
        options = replace(options, policy="idm" if scenes is None else "constant-velocity")
    frames = _control_frames(options)
    sizes = PictureSizes(options.image_size)
    if journal is not None:
        opening = OpenScene(journal.world, journal.seed, journal.scene, journal.prompt)
        scenes, sizes, frames = journal.scenes, journal.sizes, journal.control_frames
    opened = None if before is None else before.generator.opened
    generator = Generator(scenes, sizes, frames, options.device, opened)
    worker: Worker = before.worker if before is not None else InlineWorker() if inline else ThreadWorker()
    if before is not None:
        before.drop_asked()
    inputs = DriverInputs()
    session = Session(
        generator=generator,
        worker=worker,
        inputs=inputs,
        worlds=_worlds(opening.world, options.also, builtin=scenes is None),
        opening=opening,
        scenes=scenes,
        out=options.out,
        policy=None if options.policy is None else PolicyDriver(options.policy, generator),
        script=None if journal is None else Script(journal),
    )
    return session, inputs


def _control_frames(options: DriveOptions) -> int | None:
    if options.control_period_s is None:
        # Policies plan a trajectory, and some of them think for a while: they need no answer within a frame.
        return None if options.policy is None else POLICY_FRAMES
    try:
        return control_frames(options.control_period_s)
    except ValueError as error:
        raise InvalidConfig(str(error)) from error


def _opening(options: DriveOptions) -> tuple[OpenScene, str | None]:
    """Where to begin, and the path of the scene source."""
    scene = options.scene if options.scene is not None else own_start(options.world)
    built_in = scene is None or (scene.isascii() and scene.isdigit())
    world = options.world or (DEFAULT_WORLD if built_in or options.road is not None else "warp")
    if world == REFERENCE_WORLD and not built_in:
        raise InvalidConfig(f"the simulator knows its built-in scenes only; for {scene} take --world warp")
    opening = OpenScene(world, options.seed, None, options.prompt)
    if built_in:
        return (opening if scene is None else replace(opening, seed=int(scene))), None
    assert scene is not None
    return opening, with_words(str(Path(scene).expanduser().resolve()), options.road, options.speed)


def own_start(world: str | None) -> str | None:
    """The folder of scenes beside a pipeline's parts, as that of a road of one's own; None where there is none."""
    folder = None if world is None else Path(world) / START
    return str(folder) if folder is not None and folder.is_dir() else None


def check_said_of_pictures(scene: str | None, road: str | None, speed_mps: float | None) -> None:
    """Refuse a road and a speed where there is no picture.

    Raises:
        InvalidConfig: the scene is a built-in one; or they are not understood.
    """
    with_words(None if scene is None or scene.isdigit() else scene, road, speed_mps)


def _worlds(first: str, also: tuple[str, ...], builtin: bool) -> tuple[str, ...]:
    """The worlds to change between: the one chosen, those named, and our own where they can be."""
    ours = [name for name in (MINI, *BUILT_IN_WORLDS) if builtin or name != REFERENCE_WORLD]
    return tuple(dict.fromkeys((first, *also, *ours)))
