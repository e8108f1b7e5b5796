"""What the types below everything are made of: arrays, and cameras. Both are imported from ``longdwm_env.types``."""
