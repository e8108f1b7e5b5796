"""The documentation site builds strictly, its links lead somewhere, and it loads nothing from elsewhere."""

import importlib.util
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from .documents import NOTEBOOKS, ROOT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("mkdocstrings") is None,
    reason="mkdocs is not installed: make docs, or pip install 'longdwm[docs]'",
)

LOADED = {"script": "src", "img": "src", "source": "src", "video": "src", "iframe": "src", "link": "href"}
"""What a browser fetches by itself."""


class Page(HTMLParser):
    """Links, what is loaded, and anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found.get("id"), found.get("name")}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if found.get(LOADED.get(tag)) and found.get("rel") != "canonical":
            self.loaded.append(found[LOADED[tag]])


def test_it_builds_strictly_leads_nowhere_dead_and_loads_nothing_from_elsewhere(tmp_path):
    """One test, so that processes which share tests do not each build the site."""
    folder = tmp_path / "site"
    made = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    pages = {path: Page(path.read_text()) for path in folder.rglob("*.html")}
    assert len(pages) > 50
    assert dead_links(pages, folder) == []
    assert {link for page in pages.values() for link in page.loaded if "//" in link} == set()
    for page in ("concepts", "environment", "reference/environment", "reference/commands", "results", "cards/mini"):
        assert (folder / page / "index.html").is_file()
    assert {path.stem for path in NOTEBOOKS} <= {path.name for path in (folder / "examples").iterdir()}
    said = (folder / "reference" / "commands" / "index.html").read_text()
    assert "longdwm evaluate" in said
    assert "step_timeout_s" in said
    assert "Drive a car whose front camera" in (folder / "reference" / "environment" / "index.html").read_text()


def dead_links(pages, folder):
    """Links that lead to no page, or to no place on it."""
    dead = []
    for path, page in pages.items():
        # The page for what is not found stands at no place of its own.
        for link in page.links + page.loaded if path.name != "404.html" else ():
            if link.startswith(("http:", "https:", "mailto:", "data:", "javascript:")):
                continue
            target, _, anchor = unquote(link).partition("#")
            file = Path(os.path.normpath(path.parent / target)) if target else path
            file = file / "index.html" if file.is_dir() else file
            if not file.is_file() or (anchor and file in pages and anchor not in pages[file].anchors):
                dead.append(f"{path.relative_to(folder)}: {link}")
    return dead
