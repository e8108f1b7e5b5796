"""Objectives by which one model teaches another."""
