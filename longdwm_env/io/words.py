"""Words from outside, made fit for every place that shows them: file names, errors, answers of other programs.

Half a surrogate pair, which JSON and file names may carry, cannot be written to any file or terminal; control
characters change what a terminal shows; and OpenCV and pygame take neither. So they are replaced where they come in.
"""

import re

LONGEST = 2000
"""Characters that are kept of a text unless its place says otherwise."""

_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(words: object, limit: int = LONGEST) -> str:
    """The words, or what ``str`` makes of a value, at most ``limit`` characters long; what cannot be shown is U+FFFD.

    A value whose ``str`` raises, as a foreign exception may, gives the name of its type.
    """
    try:
        text = str(words)
    except Exception:
        text = type(words).__name__
    return _UNFIT.sub("\ufffd", text[:limit])


def ascii_only(words: str) -> str:
    """For OpenCV, whose fonts have no other glyphs: a "?" for each."""
    return words.encode("ascii", "replace").decode()


def for_figure(words: str) -> str:
    """For matplotlib, which reads what stands between two dollar signs as mathematics."""
    return clean(words).replace("$", r"\$")
