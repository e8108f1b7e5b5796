import threading

import numpy as np
import pytest
import torch

from longdwm_env.models.bundled import bundled_pipeline_folder
from longdwm_env.models.closed_loop.sample_threads import SampleThreads, joined
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.world import DiffusionWorld

pytestmark = pytest.mark.filterwarnings("ignore:the camera of scene")


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_tasks_run_side_by_side():
    meeting = threading.Barrier(2)
    assert sorted(SampleThreads(2).run([lambda: meeting.wait(timeout=60)] * 2)) == [0, 1]


def test_a_lane_computes_with_one_thread_and_nobody_else_is_changed(three_threads):
    assert SampleThreads(2).run([torch.get_num_threads] * 4) == [1] * 4
    assert torch.get_num_threads() == 3
    found = []
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert found == [3]


def test_a_task_may_ask_for_lanes():
    """More tasks than lanes, each waiting for tasks of its own: they would wait for ever if they shared the lanes."""
    lanes = SampleThreads(2)
    inner = [lambda: threading.get_ident()] * 3
    for names in lanes.run([lambda: lanes.run(inner)] * 8):
        assert len(set(names)) == 1


@pytest.mark.parametrize("lanes", [1, 2])
def test_the_later_of_two_tasks_goes_on_with_what_needs_both(lanes):
    """And the lane of the earlier one with other tasks: here the second can only end when the third has."""
    meanwhile = threading.Event()

    def second():
        assert lanes == 1 or meanwhile.wait(timeout=60)
        return 3

    tasks = joined(lambda: 2, second, lambda a, b: 10 * a + b)
    assert SampleThreads(lanes).run([*tasks, meanwhile.set]) == [None, 23, None]


def test_an_error_is_raised_when_all_are_done():
    done = []

    def fail():
        raise ArithmeticError("no")

    with pytest.raises(ArithmeticError):
        SampleThreads(2).run([fail, *[lambda: done.append(1)] * 10])
    assert len(done) == 10
    with pytest.raises(ValueError, match="at least one thread"):
        SampleThreads(0)


def test_numbers_do_not_depend_on_how_many_threads_there_are(pipeline, scene_with, drive_at, three_threads):
    size = pipeline.settings.image_size
    several = DiffusionWorld(pipeline)
    torch.set_num_threads(1)
    one = DiffusionWorld(pipeline)
    states = [one.begin(scene_with(size, seed=seed), seed) for seed in range(4)]
    ways = [drive_at(4.0 + 2 * index) for index in range(4)]
    for num_frames in (12, 5):
        alone = one.advance(states, ways, num_frames)[1]
        assert np.array_equal(several.advance(states, ways, num_frames)[1], alone)
        for index in range(4):
            assert np.array_equal(several.advance([states[index]], [ways[index]], num_frames)[1][0], alone[index])
    assert np.array_equal(one.uncertainty(states, ways), several.uncertainty(states, ways))


def test_mini_reads_a_prompt_alike_with_any_number_of_threads(three_threads):
    """With its last bits, all that is generated would differ. The tiny model's text is too small for three threads."""
    pipeline = LongDWMPipeline.from_pretrained(bundled_pipeline_folder(), local_files_only=True)
    prompts = ["Weather: Foggy.\nTime: Nighttime.\nRoad environment: a street between houses."]
    several = pipeline.encode_text(prompts)
    torch.set_num_threads(1)
    assert torch.equal(pipeline.encode_text(prompts), several)
