"""Measures and reports: how good a world is, and what the paper's protocols say. The layer just below the commands."""
