"""Policies that misbehave, for tests of what an evaluation makes of them; named by this file's path."""

import os
import time
from pathlib import Path

import numpy as np

STRAIGHT = np.stack([8.0 * np.array([0.5, 1.0, 1.5, 2.0]), np.zeros(4)], axis=1).astype(np.float32)


def make_policy(context, kind="good", at=2, marker=""):
    return Misbehaving(kind, at, marker)


class Misbehaving:
    def __init__(self, kind, at, marker):
        self.kind, self.at, self.marker, self.count = kind, at, marker, 0

    def reset(self, observation, info):
        self.count = 0

    def act(self, observation, info):
        self.count += 1
        if self.count < self.at:
            return STRAIGHT
        if self.kind == "raises":
            raise RuntimeError("out of coffee")
        if self.kind == "surrogate":
            raise RuntimeError("half a pair \ud800 and \x1b[2J a bell \x07")
        if self.kind == "exits":
            raise SystemExit(3)
        if self.kind == "unspeakable":
            raise Unspeakable
        if self.kind == "leaves":
            os.chdir("/")
        if self.kind == "nonsense":
            return STRAIGHT * np.nan
        if self.kind == "dies":
            os._exit(3)
        if self.kind == "dies-once" and not Path(self.marker).exists():
            Path(self.marker).touch()
            os._exit(3)
        # No parameter: files that parameters name are part of what is evaluated, and must not change.
        while self.kind == "waits" and not Path(os.environ["GATE"]).exists():
            time.sleep(0.02)
        if self.kind == "hangs":
            time.sleep(600)
        return STRAIGHT


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no words")
