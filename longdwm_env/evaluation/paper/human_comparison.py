"""Human comparison: a page of side-by-side pairs in random order, and win rates from what people chose.

The page is one file: videos, choices and instructions are inside, nothing is loaded from anywhere. Which side is which
model is not in the page, so it cannot be looked up: it is in a key file, written beside it, that is needed to count.
"""

import base64
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.report import write_page
from longdwm_env.evaluation.statistics import Interval, wilson
from longdwm_env.io.files import atomic_write_json
from longdwm_env.types import JsonObject

QUESTIONS = {
    "visual": "Which video looks better?",
    "motion": "In which video is the motion more plausible?",
    "trajectory": "Which video follows the drawn trajectory better?",
}
"""Visual quality, motion rationality, trajectory compliance: Tables 3 and 5 of the paper."""


@dataclass(frozen=True)
class Pair:
    """One scene as two models show it: mp4 files."""

    scene: str
    video_a: Path
    video_b: Path


def build_page(
    pairs: Sequence[Pair], names: tuple[str, str], out: Path, questions: Sequence[str] = tuple(QUESTIONS), seed: int = 0
) -> tuple[Path, Path]:
    """Write ``out`` (the page) and its key (``.key.json``).

    The names of model a and model b appear in the key only; ``questions`` are some of ``QUESTIONS``; the seed
    decides order and sides.

    Raises:
        InvalidConfig: there is no pair, or no such question.
    """
    unknown = sorted(set(questions) - set(QUESTIONS))
    if not pairs or unknown:
        raise InvalidConfig(f"a page needs at least one pair and questions among {', '.join(QUESTIONS)}, got {unknown}")
    rng = np.random.default_rng(seed)
    page_id = secrets.token_hex(8)
    items, sides = [], {}
    for number, index in enumerate(rng.permutation(len(pairs))):
        pair = pairs[int(index)]
        is_swapped = bool(rng.random() < 0.5)
        files = (pair.video_b, pair.video_a) if is_swapped else (pair.video_a, pair.video_b)
        items.append([base64.b64encode(file.read_bytes()).decode() for file in files])
        sides[str(number)] = {"scene": pair.scene, "left": names[1] if is_swapped else names[0]}
    asked = [[name, QUESTIONS[name]] for name in questions]
    write_page(out, "compare.html.j2", page_id=page_id, items=items, questions=asked)
    key = out.with_suffix(".key.json")
    atomic_write_json(key, {"page": page_id, "names": list(names), "sides": sides, "seed": seed})
    return out, key


@dataclass(frozen=True)
class WinRate:
    """How often model a was preferred in one question; the interval is Wilson's, over answers."""

    question: str
    answers: int
    wins: int
    share: Interval


def win_rates(key: Path, answers: Sequence[Path]) -> list[WinRate]:
    """Count the answer files that people saved from a page.

    Raises:
        InvalidConfig: the key or an answer file cannot be read, or the answers belong to another page.
    """
    secret = _key_of(key)
    counted: dict[str, list[bool]] = {}
    for path in answers:
        given = _answers_of(path, secret["page"])
        for entry in given:
            side = secret["sides"].get(str(entry["pair"]))
            if side is None or entry["choice"] not in ("left", "right"):
                raise InvalidConfig(f"{path}: there is no pair {entry['pair']!r} with a choice {entry['choice']!r}")
            is_first = (entry["choice"] == "left") == (side["left"] == secret["names"][0])
            counted.setdefault(entry["question"], []).append(is_first)
    return [WinRate(q, len(wins), sum(wins), wilson(sum(wins), len(wins))) for q, wins in sorted(counted.items())]


def names_of(key: Path) -> tuple[str, str]:
    """The two models that a page compares.

    Raises:
        InvalidConfig: the key cannot be read.
    """
    first, second = _key_of(key)["names"]
    return first, second


def _key_of(path: Path) -> JsonObject:
    try:
        value = json.loads(path.read_text())
        first, second = value["names"]
        if not isinstance(first, str) or not isinstance(second, str) or not isinstance(value["page"], str):
            raise ValueError("the names are no texts")
        return {**value, "sides": {pair: {"left": str(side["left"])} for pair, side in value["sides"].items()}}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidConfig(f"{path} is no key of a comparison page: {error}") from error


def _answers_of(path: Path, page: str) -> list[JsonObject]:
    try:
        value = json.loads(path.read_text())
        if value["page"] != page:
            raise InvalidConfig(f"{path} holds answers to another page")
        return [{k: entry[k] for k in ("pair", "question", "choice")} for entry in value["answers"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InvalidConfig):
            raise
        raise InvalidConfig(f"{path} is no file of answers: {error}") from error
