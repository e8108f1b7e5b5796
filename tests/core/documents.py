"""What the documents say that can be run: blocks of code, lines of shell, links, cells of notebooks."""

import functools
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import tyro

from longdwm_env.cli import load, main
from longdwm_env.cli.commands import COMMANDS, Command

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("models/**/*.md"))]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))

SHELL = re.compile(r"(?:[A-Z_]+=\S+ )*(?:nice -n \d+ )?(?:\S*/)?(longdwm|make|python|torchrun|accelerate|ssh|pip)\b")
"""How a line of shell begins."""

FENCE = re.compile(r"^( *)```(\w*)")
HEADING = re.compile(r"^#+ +(.*?) *#*$")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)|(?:src|href)=\"([^\"]+)\"")


@dataclass(frozen=True)
class Block:
    """Code in a document; ``kind`` is the fence's word, or "shell" of indented lines that look so."""

    path: Path
    line: int
    kind: str
    text: str

    @property
    def page(self) -> str:
        return self.path.relative_to(ROOT).as_posix()


def blocks(path):
    """All code of a document."""
    found, lines, at = [], path.read_text().splitlines(), 0
    while at < len(lines):
        start, fence = at, FENCE.match(lines[at])
        if fence:
            at = next(i for i in range(at + 1, len(lines)) if lines[i].strip() == "```")
            text = "\n".join(line[len(fence[1]) :] for line in lines[start + 1 : at])
            found.append(Block(path, start + 1, fence[2] or _kind(text), text))
        elif lines[at].startswith("    ") and not (at and lines[at - 1].strip()):
            while at + 1 < len(lines) and (lines[at + 1].startswith("    ") or not lines[at + 1].strip()):
                at += 1
            text = "\n".join(line[4:] for line in lines[start : at + 1])
            found.append(Block(path, start + 1, _kind(text), text))
        at += 1
    return found


def _kind(text):
    return "shell" if SHELL.match(text) else ""


def shell_lines():
    """Every line of shell in the documents, without comment, and where it stands; each once."""
    found = {}
    for path in DOCUMENTS:
        for block in blocks(path):
            if block.kind in ("shell", "sh", "bash"):
                for line in block.text.replace("\\\n", " ").splitlines():
                    words = re.sub(r"\s#.*", "", line).strip()
                    if SHELL.match(words):
                        found.setdefault(words, f"{block.page}:{block.line}")
    return found


def links(path):
    """What a document links to."""
    if path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in cells(path, "markdown"))
    else:
        text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)
    return [one or other for one, other in LINK.findall(text)]


def anchors(path):
    """The headings of a document, as GitHub and the site name them in links."""
    headings = [found[1] for line in prose_lines(path) if (found := HEADING.match(line))]
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in plain}


def prose_lines(path):
    inside = False
    for line in path.read_text().splitlines():
        inside ^= bool(FENCE.match(line))
        if not inside:
            yield line


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def command_of(words):
    """A command, its name, and what follows its name."""
    name, commands, rest = [], COMMANDS, list(words)
    while not isinstance(commands, Command) and rest and rest[0] in commands:
        name.append(rest[0])
        commands = commands[rest.pop(0)]
    if not isinstance(commands, Command):
        commands = commands[""]  # a group that does something with options alone
    return commands, " ".join(name), rest


def parse(words):
    """Take a command line apart as the command would, and do nothing; SystemExit where it is not understood."""
    command, name, rest = command_of(words)
    function = load(command)

    @functools.wraps(function)
    def instead(*given, **named):
        return 0

    tyro.cli(instead, prog=f"longdwm {name}", args=rest)


def run(line, extra=""):
    """Run ``longdwm ...`` in this process; the exit status."""
    return main([*shlex.split(line)[1:], *shlex.split(extra)])


def run_cells(path, namespace, changed=()):
    """Run a notebook's cells in order; ``!`` lines are commands, the value of a cell's last line is kept as ``_``.

    Args:
        path: of the notebook.
        namespace: where its names live.
        changed: pairs of texts: what is written, and what the test runs in its place.
    """
    for number, cell in enumerate(cells(path, "code")):
        text = "".join(cell["source"])
        for written, instead in changed:
            text = text.replace(written, instead)
        lines = text.splitlines()
        if lines[0].startswith("!"):
            for line in lines:
                words = line.removeprefix("!").replace("{", "\0{").split("\0")
                filled = "".join(
                    re.sub(r"\{(.*?)\}", lambda name: str(eval(name[1], namespace)), word) for word in words
                )
                assert run(filled) == 0, f"{path.name}, cell {number}: {filled}"
            continue
        *most, last = lines
        shows = bool(last) and not last.startswith((" ", "print")) and not re.match(r"[\w, *]+ = |import|from", last)
        exec(compile("\n".join(most if shows else lines), f"{path.name}, cell {number}", "exec"), namespace)
        namespace["_"] = eval(last, namespace) if shows else None
        namespace.setdefault("shown", []).append(namespace["_"])
