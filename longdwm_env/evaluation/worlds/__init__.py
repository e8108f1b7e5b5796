"""Measures of a world that drives the same scenes by the same actions as the simulator."""
