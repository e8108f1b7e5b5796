"""The walks that ARCHITECTURE.md describes are those that the code takes."""

import re
from concurrent.futures import ProcessPoolExecutor

from ..training.processes import PROCESSES
from .walks import ROOT, called

BLOCKS = re.findall(r"(?:^ {4} ?\d+  \S+\.py .*\n)+", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)


def described(block):
    return [tuple(line.split()[1:3]) for line in block.splitlines()]


def test_there_are_two_walks():
    assert len(BLOCKS) == 2


def alone(walk, *args):
    """In a process of its own: only threads that begin there are traced, and a used one keeps threads ready."""
    with ProcessPoolExecutor(1, PROCESSES) as pool:
        return set(pool.submit(called, walk, *args).result())


def test_an_action_becomes_pixels_on_the_way_that_is_described():
    assert not set(described(BLOCKS[0])) - alone("action_to_pixels")


def test_footage_becomes_a_loss_on_the_way_that_is_described(tmp_path):
    assert not set(described(BLOCKS[1])) - alone("footage_to_loss", tmp_path)
