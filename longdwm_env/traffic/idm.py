"""The intelligent driver model: how hard to accelerate behind another vehicle.

Treiber, Hennecke and Helbing, "Congested traffic states in empirical observations and microscopic simulations",
Physical Review E 62 (2000), eqs. 2 and 3.
"""

import math
from dataclasses import dataclass

import numpy as np

from longdwm_env.geometry.kinematics import check_positive
from longdwm_env.types import FloatArray


@dataclass(frozen=True)
class IdmSettings:
    """Parameters of the model; the defaults are a calm driver in town.

    Attributes:
        time_gap_s: kept to the car ahead.
        acceleration_mps2: at most, on a free road.
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
        check_positive(self, "of the driver model ")


def idm_acceleration(
    speed_mps: FloatArray | float,
    desired_speed_mps: FloatArray | float,
    gap_m: FloatArray | float = math.inf,
    leader_speed_mps: FloatArray | float = 0.0,
    settings: IdmSettings | None = None,
) -> FloatArray:
    """Accelerations in m/s2; the arguments broadcast.

    Args:
        speed_mps: own speed.
        desired_speed_mps: on a free road.
        gap_m: bumper to bumper to the car ahead; infinite where there is none.
        leader_speed_mps: its speed along the own path.
        settings: the driver.
    """
    driver = settings or IdmSettings()
    speed = np.asarray(speed_mps, dtype=np.float64)
    free = 1.0 - (np.maximum(speed, 0.0) / np.maximum(desired_speed_mps, 0.1)) ** driver.exponent
    closing = speed * (speed - leader_speed_mps)
    closing = closing / (2 * math.sqrt(driver.acceleration_mps2 * driver.braking_mps2))
    wanted = driver.standstill_gap_m + np.maximum(0.0, speed * driver.time_gap_s + closing)
    free = free - (wanted / np.maximum(gap_m, 0.1)) ** 2
    return np.clip(driver.acceleration_mps2 * free, -driver.hardest_braking_mps2, driver.acceleration_mps2)
