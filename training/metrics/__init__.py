"""Measures of generated video; the protocols that drive models are in ``longdwm_env.training.protocols``."""
