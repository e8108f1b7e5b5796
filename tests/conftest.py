"""Checks the shapes that ``longdwm_env.geometry`` declares, in every test. The hook comes before its first import."""

import gc
import os

import jaxtyping
import pytest
from hypothesis import settings

jaxtyping.install_import_hook("longdwm_env.geometry", "beartype.beartype")

from longdwm_env.io import video  # noqa: E402

# The same examples on every run and no clock: a test fails because of the code, not because of the machine.
settings.register_profile("laws", deadline=None, derandomize=True, max_examples=25)
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
