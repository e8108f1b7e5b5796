"""What mkdocs is given beside ``mkdocs.yml``: pages that lie outside ``docs``, and links as they are on the site.

The documents are written to be read in the repository, where links lead to any file. On the site README is the start,
root documents, model cards, examples and notebooks are pages too, and a link to a file that is no page is its words.
"""

import json
import posixpath
import re
import runpy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "build" / "docs" / "longdwm_env"
PARTS = ("models", "training", "agents")

PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    **{f"models/weights/{name}/MODEL_CARD.md": f"cards/{name}.md" for name in ("mini", "scorer", "inverse-dynamics")},
}
"""Pages of the site, by the file in the repository."""

GROUPS = ("TrainOptions", "WorldOptions", "ProtocolOptions", "NetworkOptions")
"""Options that several commands share."""

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
CODE = re.compile(r"(^```[^\n]*\n.*?^```|^ {4}[^\n]*$)", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^::: (?!longdwm_env\.)(\S+)$", re.MULTILINE)
"""A class or function of the package; where it stands is found, so that files may move."""

TAG = re.compile(r'(?<=src=")([^":]+)(?=")')


def on_startup(**given: Any) -> None:
    """Put the package together as it is when installed, by links, so that its docstrings are found under its names."""
    PACKAGE.mkdir(parents=True, exist_ok=True)
    for link in PACKAGE.iterdir():
        if not link.exists():  # the file has moved since an earlier build
            link.unlink(missing_ok=True)
    for path in (*(ROOT / "longdwm_env").iterdir(), *(ROOT / part for part in PARTS)):
        link = PACKAGE / path.name
        with suppress(FileExistsError):  # made before, or by a build beside this one
            link.symlink_to(path, target_is_directory=path.is_dir())


def on_config(config: Any) -> Any:
    """Documents that the navigation does not name stand at the end of their part."""
    docs = Path(config.docs_dir)
    written = json.dumps(config.nav)
    parts = {next(iter(part)): next(iter(part.values())) for part in config.nav}
    parts["Guides"] += [path.name for path in sorted(docs.glob("*.md")) if f'"{path.name}"' not in written]
    decisions = [f"decisions/{path.name}" for path in sorted((docs / "decisions").glob("*.md"))]
    parts["Concepts"].append({"Decisions": decisions})
    tables = (f"results/{path.name}" for path in sorted((docs / "results").glob("*.md")))
    parts["Results"] += [name for name in tables if f'"{name}"' not in written]
    parts["Examples"] += [page for page in _examples().values() if f'"{page}"' not in written]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie elsewhere, and that of the commands."""
    for source, page in {**PAGES, **_examples()}.items():
        files.append(File.generated(config, page, content=_text(ROOT / source)))
    files.append(File.generated(config, "reference/commands.md", content=_commands()))
    return files


def on_page_markdown(markdown: str, page: Any, files: Any, **given: Any) -> str:
    """Links as they are on the site."""
    uri = page.file.src_uri
    elsewhere = {made: source for source, made in {**PAGES, **_examples()}.items()}
    source = elsewhere.get(uri, f"docs/{uri}")

    def place(target: str) -> str | None:
        """Where a link leads on the site; None where it leads off it."""
        path, hash_, anchor = target.partition("#")
        if not path or ":" in path:
            return target
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        found = {**PAGES, **_examples()}.get(file, file.removeprefix("docs/") if file.startswith("docs/") else None)
        if found is not None and files.get_file_from_path(found) is None:
            found = f"{found}/README.md" if files.get_file_from_path(f"{found}/README.md") else None
        return found and posixpath.relpath(found, posixpath.dirname(uri) or ".") + hash_ + anchor

    def link(match: re.Match[str]) -> str:
        picture, words, target = match.groups()
        to = place(target)
        return words if to is None else f"{picture}[{LINK.sub(link, words)}]({to})"

    def tag(match: re.Match[str]) -> str:
        # In HTML the address is that of the built page, which is a folder of its own.
        to = place(match[1])
        deeper = "" if posixpath.basename(uri) in ("index.md", "README.md") else "../"
        return match[1] if to is None else deeper + to

    markdown = NAMED.sub(lambda match: f"::: {_placed(match[1])}", markdown)
    parts = CODE.split(markdown)
    return "".join(part if CODE.match(part) else TAG.sub(tag, LINK.sub(link, part)) for part in parts)


@cache
def _places() -> Mapping[str, Sequence[str]]:
    """By name, where the classes and functions of the package stand."""
    found: dict[str, list[str]] = {}
    for file, inside in _sources():
        module = ".".join(inside.with_suffix("").parts)
        for line in re.findall(r"^(?:class|def) (\w+)", file.read_text(), re.MULTILINE):
            found.setdefault(line, []).append(f"{module.removesuffix('.__init__')}.{line}")
    return found


def _sources() -> Iterator[tuple[Path, Path]]:
    """Files of the package, and where they lie when it is installed."""
    for part in ("longdwm_env", *PARTS):
        for path in sorted((ROOT / part).rglob("*.py")):
            inside = path.relative_to(ROOT)
            yield path, inside if part == "longdwm_env" else Path("longdwm_env") / inside


def _placed(name: str) -> str:
    """The full name of a class or function that is named alone, or with its module where several have the name."""
    places = [place for place in _places().get(name.rpartition(".")[2], ()) if f".{place}".endswith(f".{name}")]
    if len(places) != 1:
        raise PluginError(f"::: {name}: the package has {places or 'nothing of this name'}; name one")
    return places[0]


def _examples() -> dict[str, str]:
    """Scripts and notebooks, and their pages."""
    paths = sorted([*(ROOT / "examples").glob("*.ipynb"), *(ROOT / "examples").glob("*.py")])
    return {f"examples/{path.name}": f"examples/{path.stem}.md" for path in paths}


def _commands() -> str:
    """Every command with its options, from the list that ``longdwm --help`` shows."""
    given = runpy.run_path(str(ROOT / "longdwm_env" / "cli" / "commands.py"))
    parts = [
        "# Commands",
        "`longdwm COMMAND --help` says the same. Options are written `--with-dashes`.",
    ]
    for word, entry in given["COMMANDS"].items():
        group = {"": entry} if isinstance(entry, given["Command"]) else entry
        for sub, command in group.items():
            name = f"longdwm {word} {sub}".strip()
            target = "longdwm_env.cli." + command.target.replace(":", ".")
            options = {"heading": name, "toc_label": name, "show_signature": False, "separate_signature": False}
            parts.append(f"::: {target}\n    options: {json.dumps(options)}")
    parts += [
        "## Groups of options",
        *(f"::: {_placed(name)}\n    options: {{heading_level: 3}}" for name in GROUPS),
    ]
    return "\n\n".join(parts) + "\n"


def _text(path: Path) -> str:
    """A file as Markdown."""
    if path.suffix == ".py":
        source = path.read_text()
        about = source.split('"""')[1].strip().partition("\n")[0]
        return f"# {path.name}\n\n{about}\n\n    python examples/{path.name} --help\n\n```python\n{source}```\n"
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text())["cells"]
        texts = [("".join(cell["source"]), cell["cell_type"] == "code") for cell in cells]
        return "\n\n".join(f"```python\n{text}\n```" if is_code else text for text, is_code in texts) + "\n"
    return path.read_text()
