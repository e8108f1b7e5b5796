"""Human comparison: a page of side-by-side pairs in random order, and win rates from what people chose.

The page is one file: videos, choices and instructions are inside, nothing is loaded from anywhere. Which side is which
model is not in the page, so nobody can peek: it is in a key file, written beside it, that is needed to count.
"""

import base64
import html
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.statistics import Interval, wilson
from longdwm_env.files import atomic_write_bytes, atomic_write_json

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

    Args:
        pairs: to show.
        names: of model a and model b; they appear in the key only.
        out: html file.
        questions: which of ``QUESTIONS`` to ask.
        seed: of order and sides.

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
    content = _PAGE.replace("%PAGE_ID%", page_id).replace("%ITEMS%", json.dumps(items))
    asked = json.dumps([[name, html.escape(QUESTIONS[name])] for name in questions])
    atomic_write_bytes(out, content.replace("%QUESTIONS%", asked).encode())
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

    Args:
        key: written beside the page.
        answers: files, one per person.

    Raises:
        InvalidConfig: an answer file belongs to another page, or is none.
    """
    secret = json.loads(key.read_text())
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


def _answers_of(path: Path, page: str) -> list[dict[str, Any]]:
    try:
        value = json.loads(path.read_text())
        if value["page"] != page:
            raise InvalidConfig(f"{path} holds answers to another page")
        return [{k: entry[k] for k in ("pair", "question", "choice")} for entry in value["answers"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InvalidConfig):
            raise
        raise InvalidConfig(f"{path} is no file of answers: {error}") from error


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Which drive is better?</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1100px; padding: 1rem;
  background: #fafaf8; color: #28282c; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; }
video { width: 100%; background: #000; border-radius: 6px; }
fieldset { border: 0; padding: .5rem 0; display: flex; gap: .75rem; flex-wrap: wrap; align-items: center; }
legend { float: left; min-width: 24rem; padding: 0; }
button { font: inherit; padding: .4rem 1.2rem; border: 1px solid #888; border-radius: 6px;
  background: #fff; cursor: pointer; }
button[aria-pressed=true] { background: #24508f; color: #fff; border-color: #24508f; }
button:focus-visible { outline: 3px solid #d68f2a; }
nav { display: flex; gap: .75rem; align-items: center; margin: 1rem 0; }
</style></head><body>
<h1>Which drive is better?</h1>
<p>Two cars drive the same scene. Watch both, then choose a side for each question; there is no "both". Left and right
arrow keys change the pair. When you are done, save your answers and send the file back.</p>
<main><div class="pair"><video id="left" muted loop playsinline controls aria-label="left video"></video>
<video id="right" muted loop playsinline controls aria-label="right video"></video></div>
<div id="questions"></div></main>
<nav><button id="previous">Previous</button><span id="place" aria-live="polite"></span><button id="next">Next</button>
<button id="again">Play both again</button><button id="save">Save answers</button></nav>
<script>
const page = "%PAGE_ID%", questions = %QUESTIONS%, items = %ITEMS%;
const memory = "longdwm-" + page, answers = JSON.parse(localStorage.getItem(memory) || "{}");
const at = (id) => document.getElementById(id);
let place = 0;
function play() { for (const id of ["left", "right"]) { at(id).currentTime = 0; at(id).play().catch(() => {}); } }
function show() {
  ["left", "right"].forEach((id, side) => { at(id).src = "data:video/mp4;base64," + items[place][side]; });
  at("questions").replaceChildren(...questions.map(([name, text]) => {
    const set = document.createElement("fieldset"), legend = document.createElement("legend");
    legend.textContent = text; set.append(legend);
    for (const side of ["left", "right"]) {
      const button = document.createElement("button");
      button.textContent = side[0].toUpperCase() + side.slice(1);
      button.setAttribute("aria-pressed", answers[place + "/" + name] === side);
      button.onclick = () => {
        answers[place + "/" + name] = side;
        localStorage.setItem(memory, JSON.stringify(answers));
        mark();
      };
      set.append(button);
    }
    return set;
  }));
  mark(); play();
}
function mark() {
  [...at("questions").children].forEach((set, q) => [...set.querySelectorAll("button")].forEach((button, s) =>
    button.setAttribute("aria-pressed", answers[place + "/" + questions[q][0]] === ["left", "right"][s])));
  const done = Object.keys(answers).length, all = items.length * questions.length;
  at("place").textContent = `Pair ${place + 1} of ${items.length}, ${done} of ${all} answered`;
  at("previous").disabled = place === 0; at("next").disabled = place === items.length - 1;
}
function move(by) { place = Math.min(items.length - 1, Math.max(0, place + by)); show(); }
at("previous").onclick = () => move(-1); at("next").onclick = () => move(1); at("again").onclick = play;
addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") move(-1);
  if (event.key === "ArrowRight") move(1);
});
at("save").onclick = () => {
  const given = Object.entries(answers).map(([key, choice]) => {
    const [pair, question] = key.split("/");
    return {pair: Number(pair), question, choice};
  });
  const link = document.createElement("a");
  const text = JSON.stringify({page, answers: given}, null, 2);
  link.href = URL.createObjectURL(new Blob([text], {type: "application/json"}));
  link.download = "answers-" + page + ".json"; link.click();
};
show();
</script></body></html>
"""
