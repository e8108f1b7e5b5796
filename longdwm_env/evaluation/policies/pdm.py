"""The PDM score of NAVSIM, over an episode.

Dauner et al., "NAVSIM: Data-driven non-reactive autonomous vehicle simulation and benchmarking", NeurIPS 2024::

    PDMS = NC x DAC x (5 EP + 5 TTC + 2 C) / 12

NC no at-fault collision, DAC drivable area compliance, EP ego progress, TTC time to collision within bound, C comfort;
each 0 or 1 but EP, which is a share. As in NAVSIM's scorer, progress counts only with NC and DAC, and is divided by the
larger of the ego's and a reference driver's; where neither makes 5 m, EP is 1 (0 without NC and DAC).

Deviations: an episode lasts as long as it does (NAVSIM's is 4 s: ``max_episode_s=4``); the reference is a driver of our
own (NAVSIM's is PDM-Closed); road users have no classes, so touching something that is no agent costs all of NC, not
half; TTC moves all on at their present velocity, as in nuPlan, where NAVSIM looks up the recorded future.
"""

from collections.abc import Mapping

LEAST_PROGRESS_M = 5.0
PROGRESS_WEIGHT, TTC_WEIGHT, COMFORT_WEIGHT = 5.0, 5.0, 2.0

NEEDED = ("at_fault_collision", "off_road", "unsafe_time", "comfort", "progress_m")
"""What of an episode's numbers the score is made of."""


def multiplier(numbers: Mapping[str, float]) -> float:
    """NC x DAC."""
    return float(numbers["at_fault_collision"] == 0) * float(numbers["off_road"] == 0)


def pdm_score(numbers: Mapping[str, float], reference: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """The score, and its parts.

    Args:
        numbers: of the episode; all of ``NEEDED``.
        reference: of the reference driver's episode in the same scene and world.
    """
    allowed = multiplier(numbers)
    ours = max(numbers["progress_m"], 0.0) * allowed
    most = max(ours, max(reference["progress_m"], 0.0) * multiplier(reference))
    progress = ours / most if most > LEAST_PROGRESS_M else allowed
    in_time = float(numbers["unsafe_time"] == 0)
    comfort = float(numbers["comfort"] >= 1.0 - 1e-9)
    weighted = PROGRESS_WEIGHT * progress + TTC_WEIGHT * in_time + COMFORT_WEIGHT * comfort
    parts = {
        "NC": float(numbers["at_fault_collision"] == 0),
        "DAC": float(numbers["off_road"] == 0),
        "EP": progress,
        "TTC": in_time,
        "C": comfort,
    }
    return allowed * weighted / (PROGRESS_WEIGHT + TTC_WEIGHT + COMFORT_WEIGHT), parts
