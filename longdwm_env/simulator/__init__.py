"""The reference simulator: HighwayEnv's roads and traffic, seen by a front camera of our own."""
