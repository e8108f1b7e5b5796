from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.agents.driving.engine import prompt_cycling as prompts
from longdwm_env.agents.driving.engine.open_worlds import Drive, EndedOnTheWay, Generator, OpenScene
from longdwm_env.agents.driving.engine.timeline import Act, Timeline
from longdwm_env.agents.driving.engine.trip import Trip
from longdwm_env.agents.driving.recording.journal import Journal
from longdwm_env.errors import InvalidConfig
from longdwm_env.simulator.conditions import TIMES_OF_DAY, WEATHERS

SIZE = (32, 48)
STRAIGHT = np.float32([0.0, 0.0])
FLAT_OUT = np.float32([0.0, 4.0])


@pytest.fixture(scope="module")
def generator():
    return Generator(None, SIZE, 3)


def ending(generator, seed):
    """How and when flooring it ends in a scene."""
    moment = generator.open_scene(OpenScene("simulator", seed))
    while not moment.over and moment.time_s < 6:
        moment = generator.drive(Drive(moment, Act("control", FLAT_OUT, 12)))
    return moment.state.reason, moment.time_s


@pytest.fixture(scope="module")
def endings():
    tiny = Generator(None, (16, 24), 12)
    found = {}
    for seed in range(6):
        found[seed] = ending(tiny, seed)
        if any(time_s > 2 for _, time_s in found.values()) and "collision" in [reason for reason, _ in found.values()]:
            break
    return found


@pytest.fixture(scope="module")
def seed(endings):
    """A scene in which there is room to drive for a few seconds."""
    return next(seed for seed, (_, time_s) in endings.items() if time_s > 2)


def trip_of(generator, world, seed, prompt=None, acts=5):
    moment = generator.open_scene(OpenScene(world, seed, prompt=prompt))
    trip = Trip(Timeline(moment), Journal(world, moment.state.scene, seed, prompt, None, SIZE, 3))
    for index in range(acts):
        act = Act("control", np.float32([0.002 * index, 0.1]), 3)
        trip.drive_on(generator.drive(Drive(trip.present, act)))
    return trip


def same(one, other):
    assert one.state.ego == other.state.ego
    assert one.state.frames_driven == other.state.frames_driven
    assert np.array_equal(one.frames, other.frames)
    assert dict(one.state.world_state.values) == dict(other.state.world_state.values)
    for name, array in one.state.world_state.arrays.items():
        assert np.array_equal(array, other.state.world_state.arrays[name]), name


def test_weather_changed_on_the_way_is_weather_from_the_start(generator, seed):
    trip = trip_of(generator, "simulator", seed)
    prompt = prompts.next_weather(prompts.next_time_of_day(trip.present.state.prompt))
    changed = generator.change(trip.change_to("simulator", prompt))
    all_along = trip_of(generator, "simulator", seed, prompt).present
    assert changed.state.prompt == prompt
    assert not np.array_equal(changed.frames, trip.present.frames)
    same(changed, all_along)


def test_back_in_the_simulator_only_the_detour_is_driven_again(generator, seed):
    trip = trip_of(generator, "simulator", seed, acts=3)
    trip.changed_to(generator.change(trip.change_to("warp", trip.present.state.prompt)))
    for _ in range(3):
        trip.drive_on(generator.drive(Drive(trip.present, Act("control", STRAIGHT, 3))))
    request = trip.change_to("simulator", trip.present.state.prompt)
    assert request.known is not None
    assert len(request.path) == 4
    same(generator.change(request), generator.change(replace(request, known=None, path=tuple(trip.path))))


def test_world_that_starts_from_pictures_is_told_what_they_show(generator, seed):
    trip = trip_of(generator, "warp", seed, acts=1)
    before = trip.present.state.prompt
    begun = []
    warp = generator.world("warp")
    begin, warp.begin = warp.begin, lambda scene, seed: (begun.append(scene), begin(scene, seed))[1]
    foggy = prompts.next_weather(before)
    for prompt in (foggy, foggy, "", foggy):
        trip.changed_to(generator.change(trip.change_to("warp", prompt)))
    told = [(scene.prompt, scene.log_prompt) for scene in begun]
    assert told[0] == (foggy, prompts.spelt_out(before))
    assert told[1] == (foggy, None)
    assert told[3] == (foggy, "Weather: Clear.\nTime: Daytime."), "who says nothing means a clear day"


def test_drive_that_hits_something_in_the_simulator_stays_where_it_is(generator, endings):
    seed = next(seed for seed, (reason, _) in endings.items() if reason == "collision")
    trip = trip_of(generator, "warp", seed, acts=0)
    while trip.present.time_s < 8:
        trip.drive_on(generator.drive(Drive(trip.present, Act("control", FLAT_OUT, 12))))
    request = trip.change_to("simulator", trip.present.state.prompt)
    with pytest.raises(
        EndedOnTheWay, match=r"not to simulator: .* collision at [\d.]+ s: a road user that this world did not have"
    ):
        generator.change(request)


def test_learned_world_takes_over_in_place_finishes_its_seconds_and_hands_back(generator, seed, tmp_path):
    from longdwm_env.models.presets import build, debug

    build(debug()).save_pretrained(tmp_path / "debug")
    folder = str(tmp_path / "debug")
    trip = trip_of(generator, "simulator", seed)
    before = trip.present.state
    trip.changed_to(generator.change(trip.change_to(folder, before.prompt)))
    assert trip.present.state.world == folder
    assert (trip.present.state.ego, trip.present.state.prompt) == (before.ego, before.prompt)
    history = trip.present.state.world_state.arrays["frames"]
    assert np.array_equal(history[-1], trip.present.frames[-1])
    frames = generator.frames_of(folder)
    kept = []
    for _ in range(4):
        trip.drive_on(generator.drive(Drive(trip.present, Act("control", STRAIGHT, frames))))
        kept.append("rest_frames" in trip.present.state.world_state.arrays)
    assert (frames, kept) == (3, [True, True, True, False])
    trip.changed_to(generator.change(trip.change_to("simulator", before.prompt)))
    assert trip.present.state.world == "simulator"
    assert trip.present.state.frames_driven == before.frames_driven + 4 * frames


def test_simulator_refuses_scenes_of_others(grey_session, run):
    session, _ = grey_session()
    run(session, 0.1)
    with pytest.raises(InvalidConfig, match="built-in"):
        session.generator.change(session.trip.change_to("simulator", ""))


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a street in the rain",
        "Weather: Rainy.\nTime: Dusk.\nRoad environment: dry grass.\nCritical objects: a bus.",
    ],
)
def test_going_round_visits_all_conditions_and_keeps_the_rest(prompt):
    seen = set()
    for change, kinds in ((prompts.next_weather, WEATHERS), (prompts.next_time_of_day, TIMES_OF_DAY)):
        for _ in kinds:
            prompt = change(prompt)
            seen.add(prompts.conditions_of(prompt))
    assert {one.weather for one in seen} == set(WEATHERS)
    assert {one.time_of_day for one in seen} == set(TIMES_OF_DAY)
    assert prompt.count("Weather:") == prompt.count("Time:") == 1
