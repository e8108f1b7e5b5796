"""The walks that ARCHITECTURE.md describes are those that the code takes."""

import re

import pytest

from .walks import ROOT, action_to_pixels, footage_to_loss

BLOCKS = re.findall(r"(?:^ {4} ?\d+  \S+\.py .*\n)+", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)


def described(block):
    return [tuple(line.split()[1:3]) for line in block.splitlines()]


def test_there_are_two_walks():
    assert len(BLOCKS) == 2


@pytest.mark.filterwarnings("ignore:the camera of scene")
def test_an_action_becomes_pixels_on_the_way_that_is_described():
    walk = action_to_pixels()
    assert not set(described(BLOCKS[0])) - set(walk.called)


def test_footage_becomes_a_loss_on_the_way_that_is_described(tmp_path):
    walk = footage_to_loss(tmp_path)
    assert not set(described(BLOCKS[1])) - set(walk.called)
