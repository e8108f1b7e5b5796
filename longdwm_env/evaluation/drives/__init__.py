"""Drives that measure a world: the same scene and the same actions in the simulator and in any other world, on disk."""
