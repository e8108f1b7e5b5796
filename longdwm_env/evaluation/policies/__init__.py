"""Judging policies: many episodes, the same for each, measured, compared, and reported."""
