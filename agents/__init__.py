"""Policies, manual driving and the evaluation of policies."""
