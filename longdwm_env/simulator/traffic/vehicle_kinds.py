"""What drives about: the kinds of vehicle and the kinds of driver."""

from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np

from longdwm_env.geometry.map_view.vehicle_bodies import BODY_SIZES_M
from longdwm_env.types import FloatArray

VehicleKind = Literal["hatchback", "sedan", "suv", "van", "truck", "bus"]
VEHICLE_KINDS: tuple[VehicleKind, ...] = get_args(VehicleKind)

SIZES_M: FloatArray = np.array([BODY_SIZES_M[kind] for kind in VEHICLE_KINDS])
"""Length, width and height of each kind."""

KIND_SHARES: FloatArray = np.array([0.22, 0.3, 0.22, 0.1, 0.11, 0.05])

COLOURS_RGB: FloatArray = np.array(
    [
        [226, 228, 230], [176, 181, 187], [104, 109, 116], [44, 46, 52], [186, 34, 36], [36, 74, 158],
        [32, 94, 74], [214, 168, 44], [192, 172, 138], [116, 26, 40], [88, 148, 196], [212, 98, 38],
    ],
    dtype=np.float64,
)  # fmt: skip
COLOUR_SHARES: FloatArray = np.array([0.2, 0.14, 0.12, 0.1, 0.12, 0.1, 0.04, 0.05, 0.04, 0.03, 0.04, 0.02])


@dataclass(frozen=True)
class Driver:
    """How a driver drives. The first six are HighwayEnv's IDM and MOBIL parameters; the rest is bad habits.

    Attributes:
        speed_factor: desired speed over the speed limit.
        time_gap_s: IDM's TIME_WANTED.
        jam_gap_m: distance kept at standstill, bumper to bumper (HighwayEnv's DISTANCE_WANTED less a vehicle).
        acceleration_mps2: IDM's COMFORT_ACC_MAX.
        braking_mps2: IDM's COMFORT_ACC_MIN, positive.
        politeness: MOBIL's; a negative one likes to cut in.
        swerve_m: amplitude of weaving about the lane's middle.
        swerve_period_s: of the weaving.
        lapse_rate: probability of drifting out of the lane's middle in any 5 s.
        lapse_m: how far a lapse leads away.
        brake_rate: probability of braking hard for no reason in any 2.5 s.
    """

    speed_factor: float = 1.0
    time_gap_s: float = 1.5
    jam_gap_m: float = 4.0
    acceleration_mps2: float = 3.0
    braking_mps2: float = 5.0
    politeness: float = 0.1
    swerve_m: float = 0.08
    swerve_period_s: float = 5.0
    lapse_rate: float = 0.0
    lapse_m: float = 1.2
    brake_rate: float = 0.0

    @property
    def row(self) -> list[float]:
        """The attributes in order."""
        return [float(self.__dict__[name]) for name in DRIVER_COLUMNS]


DRIVER_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Driver))

STYLES: dict[str, Driver] = {
    "careful": Driver(0.88, 2.2, 5.0, 2.0, 3.5, 0.5, 0.04),
    "normal": Driver(),
    "brisk": Driver(1.1, 1.1, 3.0, 3.6, 5.5, 0.0),
    "aggressive": Driver(1.25, 0.55, 2.0, 4.5, 7.0, -0.3, 0.2, 4.0),
    "hard braker": Driver(1.05, 0.9, 2.5, 4.0, 7.5, brake_rate=0.4),
    "swerver": Driver(1.0, 1.2, 3.0, 3.0, 5.0, swerve_m=0.9, swerve_period_s=3.6),
    "slow": Driver(0.55, 2.0, 5.0, 1.8, 4.0, 0.3),
    "distracted": Driver(0.95, 1.3, 3.0, 2.5, 6.5, lapse_rate=0.55, lapse_m=1.7),
    "lane leaver": Driver(1.0, 1.2, 3.0, 3.0, 6.0, swerve_m=0.3, lapse_rate=0.85, lapse_m=3.4),
}
"""Drivers by name, from careful to dangerous."""

TRAFFIC_SHARES: dict[str, float] = {
    "careful": 0.2, "normal": 0.36, "brisk": 0.14, "aggressive": 0.09, "hard braker": 0.05, "swerver": 0.04,
    "slow": 0.06, "distracted": 0.06,
}  # fmt: skip

EGO_SHARES: dict[str, float] = {
    "careful": 0.14, "normal": 0.24, "brisk": 0.14, "aggressive": 0.1, "hard braker": 0.09, "swerver": 0.1,
    "slow": 0.05, "distracted": 0.06, "lane leaver": 0.08,
}  # fmt: skip


def draw_style(rng: np.random.Generator, shares: dict[str, float]) -> str:
    """The name of a style, with the given probabilities."""
    names = list(shares)
    return names[int(rng.choice(len(names), p=[shares[name] for name in names]))]


def draw_driver(rng: np.random.Generator, style: str) -> list[float]:
    """The columns of a driver of this style, no two quite alike."""
    row = np.array(STYLES[style].row)
    spread = np.ones(len(row))
    spread[:5] = rng.uniform(0.92, 1.08, 5)
    spread[6:8] = rng.uniform(0.8, 1.25, 2)
    return list(row * spread)
