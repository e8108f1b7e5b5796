"""Checks the shapes that ``longdwm_env.geometry`` declares, in every test. The hook comes before its first import."""

import functools
import gc
import os
from types import FunctionType

import jaxtyping
import pytest
from hypothesis import settings

CHECKED_CALLS = 10
"""So many calls of each function are checked in each test: a check can take far longer than the function itself."""

_test = [0]
_jaxtyped = jaxtyping.jaxtyped


def _jaxtyped_at_first(**typechecker):
    def decorated(one):
        checked = _jaxtyped(one, **typechecker)
        if not isinstance(one, FunctionType):
            return checked
        seen, calls = 0, 0

        @functools.wraps(one)
        def call(*given, **named):
            nonlocal seen, calls
            if seen != _test[0]:
                seen, calls = _test[0], 0
            calls += 1
            return (checked if calls <= CHECKED_CALLS else one)(*given, **named)

        return call

    return decorated


jaxtyping.jaxtyped = _jaxtyped_at_first
jaxtyping.install_import_hook("longdwm_env.geometry", "beartype.beartype")

from longdwm_env.io import video  # noqa: E402

# The same examples on every run and no clock: a test fails because of the code, not because of the machine.
settings.register_profile("laws", deadline=None, derandomize=True, max_examples=15)
settings.register_profile("many", settings.get_profile("laws"), max_examples=1000)
settings.load_profile("laws")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What is imported stays: a tenth of the time would go into looking for garbage among its million objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        gc.set_threshold(5_000, 10, 10)


def pytest_runtest_setup():
    _test[0] += 1


@pytest.fixture(autouse=True, scope="session")
def small_films():
    """Films are enlarged to a sixteenth of the pixels that people are shown: encoding them would be the dear part."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(video, "MIN_PLAYBACK_HEIGHT_PX", video.MIN_PLAYBACK_HEIGHT_PX // 4)
        # No test pulls a plug, so that no file has to be on the disk before the test goes on.
        patched.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture
def large_films(monkeypatch):
    """Films as large as people are shown them."""
    monkeypatch.setattr(video, "MIN_PLAYBACK_HEIGHT_PX", 4 * video.MIN_PLAYBACK_HEIGHT_PX)


def pytest_xdist_auto_num_workers() -> int | None:
    """One process more than cores: some tests wait, for seconds of a served drive, a lock, a process that ends."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) + 1
