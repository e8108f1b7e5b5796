"""Footage as latents, which are made once."""
