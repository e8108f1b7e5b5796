"""A drive as text short enough for a link: where it began and every step since, so that it can be driven again."""

import base64
import binascii
import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np

from longdwm_env.agents.driving.recording.journal import InvalidReplay, Journal, journal_of
from longdwm_env.errors import InvalidConfig

MAX_LINK_CHARS = 64_000
"""Some five minutes of ceaseless steering at twelve actions a second; longer drives are for replay files."""

MAX_RECORD_BYTES = 8 * 2**20


def link_of(journal: Journal, scenes: str | None) -> str:
    """The drive as text for a link: letters, digits, ``-`` and ``_``.

    Args:
        journal: of the drive.
        scenes: what the link calls the scene source instead of its path on this machine; None for the built-in scenes.

    Raises:
        InvalidConfig: the drive is too long.
    """
    record = replace(journal, scenes=scenes, shown_from=0, steps=[_short(step) for step in journal.steps]).record()
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    link = base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")
    if len(link) > MAX_LINK_CHARS:
        raise InvalidConfig("this drive is too long for a link; record it: the replay file may be of any length")
    return link


def journal_of_link(link: str) -> Journal:
    """The drive that ``link_of`` wrote down; ``scenes`` is what the link calls them. The text may be a stranger's.

    Raises:
        InvalidReplay: it is no such text, or a damaged one.
    """
    if len(link) > MAX_LINK_CHARS:
        raise InvalidReplay(f"the link is longer than {MAX_LINK_CHARS} characters, which none of ours is")
    try:
        packed = base64.b64decode(link + "=" * (-len(link) % 4), altchars=b"-_", validate=True)
        unpacking = zlib.decompressobj()
        # Not more than a drive can have: a few bytes can be packed so that they unpack to gigabytes.
        text = unpacking.decompress(packed, MAX_RECORD_BYTES)
        if not unpacking.eof:
            raise InvalidReplay("the link is cut off, or holds more than a drive")
        record = json.loads(text)
    except (ValueError, RecursionError, zlib.error, binascii.Error) as error:
        raise InvalidReplay(f"the link is damaged: {error}") from error
    return journal_of(record)


def _short(value: Any) -> Any:
    """A step with numbers as short as their 32 bits allow; read again they are the same."""
    if isinstance(value, float):
        return float(str(np.float32(value)))
    if isinstance(value, list):
        return [_short(each) for each in value]
    return {key: _short(each) for key, each in value.items()} if isinstance(value, dict) else value
