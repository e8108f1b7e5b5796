"""Drives in the simulator, small and shared: drawing them is the dear part."""

import pytest

from longdwm_env.evaluation.drives.plans import LogPlan
from longdwm_env.evaluation.drives.recorder import Driver

SIZE = (48, 72)
SEED = 1_000_010
FOLLOWING = 1_000_017
"""A scene with a car close ahead, on a clear day."""


@pytest.fixture(scope="session")
def simulator():
    return Driver("simulator", SIZE)


@pytest.fixture(scope="session")
def drive(simulator):
    return LogPlan(seconds=4).drive(simulator, SEED)


@pytest.fixture(scope="session")
def following(simulator):
    return LogPlan(seconds=4).drive(simulator, FOLLOWING)
