"""Resident memory of one process while an environment is reset on new scenes: whether what is kept has a bound.

    python scripts/resets_memory.py simulator --resets 2000
    python scripts/resets_memory.py mini --resets 2000

On Linux; ten to thirty minutes on a free core each. Ends with code 1 where memory grew by 3 % or more after 300 resets.
"""

import argparse
import gc
import resource
import sys
from pathlib import Path

import gymnasium as gym

import longdwm_env  # noqa: F401 - registers LongDWM-v0

SETTLED = 300
"""Resets after which everything that is kept from scene to scene should be full."""
EVERY = 50
BAR = 0.03


def main() -> int:
    """Reset, and print what the process holds, in MiB."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("world", help="as gym.make's world=")
    parser.add_argument("--resets", type=int, default=2000)
    parser.add_argument("--image-size", type=int, nargs=2, default=(96, 144), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--seed", type=int, default=10_000, help="of the first scene; each is another one")
    given = parser.parse_args()
    env = gym.make("LongDWM-v0", world=given.world, image_size=tuple(given.image_size), obs_mode="frame")
    settled = growth = 0.0
    for number in range(1, given.resets + 1):
        env.reset(seed=given.seed + number)
        if number % EVERY:
            continue
        # What waits for the collector is no growth.
        gc.collect()
        held = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
        settled = held if number == SETTLED else settled
        growth = held / settled - 1 if settled else 0.0
        print(f"{number:5d} resets {held:7.1f} MiB" + (f" {growth:+.1%}" if settled else ""), flush=True)
    return int(growth >= BAR)


if __name__ == "__main__":
    sys.exit(main())
