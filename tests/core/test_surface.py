"""Nothing that people type or import is lost: options, keywords, info keys and names as ``surface.json`` lists them."""

import importlib
import json

import pytest

from .surface import KEPT, commands, info_keys, keywords

LISTED = json.loads(KEPT.read_text())
ANEW = "if it is meant, write the list anew: python tests/core/surface.py"


def lost(listed, found):
    return {name: gone for name, these in listed.items() if (gone := sorted(set(these) - set(found.get(name, ()))))}


def test_no_command_and_no_option_is_lost():
    found = commands()
    assert not set(LISTED["commands"]) - set(found), ANEW
    assert not lost(LISTED["commands"], found), ANEW


def test_no_keyword_and_no_info_key_is_lost():
    assert not lost(LISTED["keywords"], keywords()), ANEW
    assert not lost(LISTED["info"], info_keys()), ANEW


@pytest.mark.parametrize("name", LISTED["names"])
def test_what_documents_import_is_there(name):
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)
