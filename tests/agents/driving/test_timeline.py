from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.agents.driving.engine.timeline import Timeline


@pytest.fixture
def moments(started, run):
    """A minute of moments, three frames each."""
    session, _ = started()
    first = session.trip.present
    made = [first]
    for number in range(1, 241):
        state = replace(first.state, frames_driven=3 * number)
        made.append(replace(first, state=state, number=number))
    return made


def timeline_of(moments, **limits):
    timeline = Timeline(moments[0], **limits)
    for moment in moments[1:]:
        timeline.append(moment)
    return timeline


def test_recent_moments_are_all_kept_and_older_ones_each_second(moments):
    timeline = timeline_of(moments, dense_s=10.0)
    times = np.array([moment.time_s for moment in timeline.moments])
    assert np.allclose(np.diff(times[times > 50.1]), 0.25)
    assert np.allclose(np.diff(times[times < 49.9]), 1.0)
    assert times[0] == 0.0


def test_memory_is_bounded(moments):
    size = moments[0].memory_bytes
    timeline = timeline_of(moments, max_bytes=20 * size)
    assert timeline.memory_bytes <= 20 * size
    assert timeline.present is moments[-1]
    assert len(timeline_of(moments, max_bytes=1).moments) == 2
