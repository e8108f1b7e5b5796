"""The intelligent driver model: how hard to accelerate behind somebody.

Treiber, Hennecke and Helbing, "Congested traffic states in empirical observations and microscopic simulations",
Physical Review E 62 (2000), eqs. 2 and 3.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class IdmSettings:
    """Parameters of the model; the defaults are a calm driver in town.

    Attributes:
        time_gap_s: kept to the car ahead.
        standstill_gap_m: kept when everybody stands.
        acceleration_mps2: at most, on a free road.
        braking_mps2: comfortable.
        exponent: how the acceleration fades towards the desired speed.
        hardest_braking_mps2: what the driver never exceeds.
    """

    time_gap_s: float = 1.5
    standstill_gap_m: float = 3.0
    acceleration_mps2: float = 1.5
    braking_mps2: float = 2.0
    exponent: float = 4.0
    hardest_braking_mps2: float = 7.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = self.__dict__[name]
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} of the driver model must be finite and above zero, got {value!r}")


def idm_acceleration(
    speed_mps: float,
    desired_speed_mps: float,
    gap_m: float = math.inf,
    leader_speed_mps: float = 0.0,
    settings: IdmSettings | None = None,
) -> float:
    """Acceleration in m/s2.

    Args:
        speed_mps: own speed.
        desired_speed_mps: on a free road.
        gap_m: bumper to bumper to the car ahead; infinite where there is none.
        leader_speed_mps: its speed along the own path.
        settings: the driver.
    """
    driver = settings or IdmSettings()
    free = 1.0 - (max(speed_mps, 0.0) / max(desired_speed_mps, 0.1)) ** driver.exponent
    if math.isfinite(gap_m):
        closing = speed_mps * (speed_mps - leader_speed_mps)
        closing /= 2 * math.sqrt(driver.acceleration_mps2 * driver.braking_mps2)
        wanted = driver.standstill_gap_m + max(0.0, speed_mps * driver.time_gap_s + closing)
        free -= (wanted / max(gap_m, 0.1)) ** 2
    return float(min(max(driver.acceleration_mps2 * free, -driver.hardest_braking_mps2), driver.acceleration_mps2))
