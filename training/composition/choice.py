"""Which street the next drive of training goes along, and how it begins."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longdwm_env.simulator.conditions import TIMES_OF_DAY, WEATHERS, Conditions
from longdwm_env.training.composition.config import StreetShares
from longdwm_env.training.composition.looks import PhotographicLook, PhotographicStreet
from longdwm_env.training.composition.streets import EVERYTHING, ROAD, SimulatedStreet, Street
from longdwm_env.types import ImageSize


@dataclass(frozen=True)
class Choice:
    """A street and how its drive begins; see ``drives.OwnDrive``."""

    street: Street
    restyled: bool
    from_one_picture: bool


def chosen_street(rng: np.random.Generator, shares: StreetShares, last_seed: int, sizes: Sequence[ImageSize]) -> Choice:
    """The next drive's street.

    Args:
        rng: source of all choices.
        shares: how often what is driven.
        last_seed: seeds of simulated scenes lie below.
        sizes: (height, width) of ordinary and of large pictures.
    """
    size = sizes[1] if rng.random() < shares.large else sizes[0]
    knowledge = EVERYTHING if rng.random() < shares.everything else ROAD
    seed = int(rng.integers(last_seed))
    arcs = rng if rng.random() < shares.free else None
    from_one_picture = knowledge == ROAD and rng.random() < shares.one_picture
    if rng.random() < (shares.photographic if knowledge == ROAD else shares.photographic_everything):
        street = SimulatedStreet(seed, knowledge, size, arcs, whole=True)
        return Choice(PhotographicStreet(street, PhotographicLook.drawn(rng)), False, from_one_picture)
    conditions = None
    if rng.random() < shares.restyled:
        conditions = Conditions(rng.choice(WEATHERS), rng.choice(TIMES_OF_DAY))
    street = SimulatedStreet(seed, knowledge, size, arcs, conditions)
    return Choice(street, conditions is not None, from_one_picture)
