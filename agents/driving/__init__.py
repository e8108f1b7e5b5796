"""Driving by hand: a window onto a world, with rewind, worlds that can be exchanged on the way, and recordings."""
