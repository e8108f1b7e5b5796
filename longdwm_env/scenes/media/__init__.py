"""Photographs and videos as scenes: how files are read, and how what they hold is shown."""
