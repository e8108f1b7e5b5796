"""Seeds of built-in scenes that nothing trains on; commands read them without importing anything else."""

FIRST_TEST_SEED = 1_000_000
"""Seeds from here on are kept for testing: they are used when asked for, and never drawn."""

FIRST_SEALED_SEED = 2_000_000
"""Those from here on have not been looked at during development; ``longdwm metrics tables`` measures them once."""
