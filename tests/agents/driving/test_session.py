import numpy as np
import pytest

from longdwm_env.agents.driving.engine.following import Script
from longdwm_env.agents.driving.engine.session_commands import finish_recording, perform
from longdwm_env.agents.driving.engine.world_worker import InlineWorker, ThreadWorker
from longdwm_env.agents.driving.input.key_commands import Command
from longdwm_env.agents.driving.input.pedals import DriverInput
from longdwm_env.agents.driving.recording.journal import Journal
from longdwm_env.clock import FPS

GAS = DriverInput(throttle=0.5)


def test_time_until_a_drive_has_set_off_is_not_counted_and_a_late_clip_on_the_way_is(grey_session, run):
    session, inputs = grey_session(frames=6, worker=SlowWorker(late=30))
    run(session, 2.0)
    inputs.driver_input = GAS
    run(session, 0.4)
    assert session.ran_s == 0
    run(session, 0.5)
    at, shown = session.ran_s, session.frames_shown
    assert at > 0
    assert shown == 6
    session.return_to(session.trip.timeline.moments[0])
    run(session, 0.4)
    assert session.ran_s == at
    session.worker.late = 90
    run(session, 4.0)
    assert session.frames_shown < 0.75 * FPS * session.ran_s


def test_rewound_moment_is_the_same_and_drives_the_same_or_differently(started, run):
    session, inputs = started()
    run(session, 1.0)
    assert session.waiting
    assert session.trip.present.number == 0
    inputs.driver_input = GAS
    run(session, 3.0)
    first = session.trip.present
    assert first.time_s == pytest.approx(3.0, abs=0.3)
    perform(session, Command.BACK_1_S)
    while session.trip.present.number < first.number:
        run(session, 1 / 60)
    again = session.trip.present
    assert again is not first
    assert np.array_equal(again.frames, first.frames)
    assert again.state.ego == first.state.ego
    before = {moment.number: moment for moment in session.trip.timeline.moments}
    inputs.driver_input = DriverInput()
    perform(session, Command.BACK_1_S)
    present = session.trip.present
    assert present is before[present.number]
    assert before[max(before)].time_s - present.time_s == pytest.approx(1.0, abs=1e-6)
    assert session.waiting
    inputs.driver_input = DriverInput(steer=1.0)
    run(session, 1.0)
    again = session.trip.timeline.moments[-1]
    assert again.state.ego.yaw_rate_radps > 0.1
    assert len(session.trip.path) == again.number


def test_pause_stops_time_and_single_interval_drives_one_second(started, run):
    session, inputs = started()
    inputs.driver_input = GAS
    run(session, 1.0)
    perform(session, Command.PAUSE)
    at = session.trip.present.number, session.playback.position
    run(session, 1.0)
    assert (session.trip.present.number, session.playback.position) == at
    perform(session, Command.SINGLE_INTERVAL)
    run(session, 3.0)
    assert session.paused
    assert session.trip.present.number == at[0] + 4
    assert session.playback.at_end


def test_world_changes_in_place(started, run):
    session, inputs = started()
    inputs.driver_input = GAS
    run(session, 2.0)
    before = session.trip.present
    perform(session, Command.NEXT_WORLD)
    run(session, 1 / 60)
    after = session.trip.present
    assert after.state.world == "other"
    assert after.state.image_size == (16, 24)
    assert (after.state.ego, after.state.frames_driven) == (before.state.ego, before.state.frames_driven)
    assert after.state.camera.intrinsics.image_size == (16, 24)
    begun = session.generator.world("other").begun[-1]
    assert begun.start == before.state.ego
    assert np.array_equal(begun.log.images(0, 1, after.state.camera)[0], after.frames[-1])
    assert begun.log.num_past > len(before.frames)
    run(session, 1.0)
    assert session.trip.present.state.frames.shape[1:3] == (16, 24)
    inputs.driver_input = DriverInput()
    for _ in range(20):
        perform(session, Command.BACK_1_S)
    assert session.trip.present.state.world == "grey"


def test_recorded_drive_is_replayed_frame_by_frame(grey_session, started, run):
    session, inputs = started()
    inputs.driver_input = DriverInput(steer=0.5, throttle=0.5)
    run(session, 1.5)
    perform(session, Command.RECORD)
    began_at = session.trip.present.number
    run(session, 2.0)
    perform(session, Command.BACK_1_S)
    run(session, 1.0)
    perform(session, Command.NEXT_WORLD)
    run(session, 1.0)
    perform(session, Command.NEXT_WEATHER)
    run(session, 1.0)
    last = session.trip.present
    recorder = session.recorder
    finish_recording(session)
    assert recorder.video_path.stat().st_size > 0

    journal = Journal.load(recorder.replay_path)
    assert journal.shown_from > 0
    again, _ = grey_session(script=Script(journal))
    shown = []
    while again.at_wheel == "replay":
        run(again, 1 / 60)
        if again.trip is not None and not again.catching_up:
            shown.append(again.trip.present.number)
    assert shown[0] >= began_at
    assert again.trip.present.number == last.number
    assert again.trip.present.state.ego == last.state.ego
    assert again.trip.present.state.prompt == last.state.prompt
    assert np.array_equal(again.trip.present.frames, last.frames)
    assert again.waiting


def test_wheel_can_be_taken_from_a_replay(tmp_path, grey_session, started, run):
    session, inputs = started()
    inputs.driver_input = GAS
    run(session, 3.0)
    session.trip.journal.save(tmp_path / "drive.json")
    again, inputs = grey_session(script=Script(Journal.load(tmp_path / "drive.json")))
    run(again, 1.0)
    assert again.driver == "replay"
    perform(again, Command.BACK_1_S)
    assert "replay" in again.note.text
    perform(again, Command.TAKE_WHEEL)
    inputs.driver_input = DriverInput(steer=-1.0)
    run(again, 1.0)
    assert again.driver == "you"
    assert again.trip.present.state.ego.yaw_rate_radps < -0.1


def test_policy_drives_and_leaves_the_wheel(grey_session, run):
    class Turning:
        name = "turning"

        def __init__(self):
            self.asked = []

        def drive(self, moment):
            from longdwm_env.agents.driving.engine.open_worlds import Drive
            from longdwm_env.agents.driving.engine.timeline import Act

            self.asked.append(moment)
            return session.generator.drive(Drive(moment, Act("control", np.float32([0.2, 0.0]), 3)))

    policy = Turning()
    session, _ = grey_session(policy=policy)
    run(session, 1.0)
    assert session.driver == "turning"
    assert policy.asked[1] is session.trip.timeline.moments[1]
    assert session.trip.present.controls.steering_rad == pytest.approx(0.2, abs=1e-3)
    perform(session, Command.TAKE_WHEEL)
    run(session, 1.0)
    assert session.driver == "you"
    asked = len(policy.asked)
    perform(session, Command.TAKE_WHEEL)
    run(session, 1.0)
    assert len(policy.asked) > asked


def test_latency_is_from_the_event_to_the_flip_of_its_clip(started, run):
    session, inputs = started()
    inputs.driver_input = GAS
    run(session, 1.0)
    inputs.driver_input = DriverInput(steer=1.0)
    event_s = session.now_s
    session.touched(event_s)
    straight = session.trip.present.number
    measured = None
    while measured is None:
        session.tick(session.now_s + 1 / 60)
        measured = session.flipped(session.now_s)
    assert measured == pytest.approx(session.now_s - event_s)
    assert session.trip.present.number > straight
    assert session.trip.present.controls.steering_rad > 0
    assert session.latency.last_s == measured


def test_a_worker_ends_a_wait_when_something_is_finished():
    worker = ThreadWorker()
    worker.submit(1, lambda: 5)
    worker.wait(60.0)
    assert [result.answer for result in worker.results()] == [5]
    assert not worker._news.is_set(), "the next wait is for something else"
    worker.close()
    assert not worker._thread.is_alive()


class SlowWorker(InlineWorker):
    """Answers a number of ticks late."""

    def __init__(self, late):
        super().__init__()
        self.late, self.held = late, []

    def results(self):
        self.held += [[self.late, result] for result in super().results()]
        for item in self.held:
            item[0] -= 1
        done = [result for left, result in self.held if left <= 0]
        self.held = [item for item in self.held if item[0] > 0]
        return done


def test_picture_keeps_moving_while_a_slow_world_generates(grey_session, run):
    session, inputs = grey_session(frames=6, worker=SlowWorker(late=60))
    run(session, 2.0)
    inputs.driver_input = GAS
    run(session, 6.0)
    stood = longest = 0
    shown = None
    for _ in range(300):
        run(session, 1 / 60)
        now = (session.trip.present.number, session.playback.frame)
        stood, shown = (stood + 1, shown) if now == shown else (0, now)
        longest = max(longest, stood)
    assert session.playback.rate < 0.6
    assert longest < 20


def test_answers_to_a_moment_that_is_no_more_are_dropped(grey_session, run):
    session, inputs = grey_session(worker=SlowWorker(late=10))
    run(session, 1.0)
    inputs.driver_input = GAS
    run(session, 4.0)
    while not session.awaits_answer:
        run(session, 1 / 60)
    inputs.driver_input = DriverInput()
    perform(session, Command.BACK_1_S)
    number = session.trip.present.number
    run(session, 1.0)
    assert session.trip.present.number == number


def test_error_of_our_own_is_shown_and_another_is_raised(started, run):
    session, inputs = started()
    session.worlds = ("grey", "nowhere")
    perform(session, Command.NEXT_WORLD)
    run(session, 1 / 60)
    assert "nowhere" in session.note.text
    assert session.trip.present.state.world == "grey"
    session.worlds = ("grey", "nowhere", "other")
    perform(session, Command.NEXT_WORLD)
    run(session, 1 / 60)
    assert session.trip.present.state.world == "other"

    def broken(*args):
        raise ZeroDivisionError

    session.generator.world("other").advance = broken
    inputs.driver_input = GAS
    with pytest.raises(ZeroDivisionError):
        run(session, 1.0)


def test_a_new_scene_says_its_weather_and_time(started, run):
    """The night that T chose is not taken along: the driver is told, rather than left to wonder."""
    session, _ = started()
    perform(session, Command.NEXT_TIME)
    run(session, 0.1)
    assert "dusk" in session.note.text
    perform(session, Command.NEW_SCENE)
    run(session, 0.1)
    assert session.trip.present.state.scene == "two"
    assert "clear, day" in session.note.text
    assert "V and T change it" in session.note.text
    perform(session, Command.NEW_SCENE)
    run(session, 0.1)
    assert session.note.text == "new scene: clear, day"
    perform(session, Command.RESTART)
    run(session, 1 / 60)
    assert (session.trip.present.number, session.trip.present.state.scene) == (0, "one")
