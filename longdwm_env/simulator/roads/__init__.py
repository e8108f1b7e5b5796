"""Roads of the simulator: how they run, which lanes they have, and what stands beside them."""
