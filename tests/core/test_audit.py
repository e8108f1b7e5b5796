"""``make audit`` says plainly whether anything was audited: no network passes, and is not called well."""

import subprocess
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit"
PYTHON = """#!/bin/bash
case "$2 $3" in
    "pip freeze") printf 'one==1.0\\ntorch==2.0+cpu\\n' ;;
    "pip install") exit {fetched} ;;
    *) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; cp "$(dirname "$0")/pip-audit" "$3/bin" ;;
esac
"""
SKIPPED = "No known vulnerabilities found\none   Dependency not found on PyPI and could not be audited: one (1.0)\n"


@pytest.mark.parametrize(
    ("fetched", "audit", "status", "said"),
    [
        (1, "", 0, "pip-audit cannot be fetched"),
        (0, "echo ConnectionError; exit 1", 0, "no service of known vulnerabilities can be reached"),
        (0, f"printf '{SKIPPED}torch could not be audited'; exit 0", 0, "no service of known vulnerabilities"),
        (0, f"printf '{SKIPPED}'; exit 0", 0, "1 of 2 packages are known to pypi"),
        (0, "echo No known vulnerabilities found", 0, "2 of 2 packages are known to pypi"),
        (0, "echo Found 1 known vulnerability in 1 package; exit 1", 1, "Found 1 known vulnerability"),
        (0, '[ "$8" = osv ] && echo No known vulnerabilities found', 0, "2 of 2 packages are known to osv"),
    ],
)
def test_what_is_said(tmp_path, fetched, audit, status, said):
    for name, text in (("python", PYTHON.format(fetched=fetched)), ("pip-audit", f"#!/bin/bash\n{audit}\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    words = [str(AUDIT), str(tmp_path / "python"), str(tmp_path / "tools")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, said in done.stdout) == (status, True), done
    assert ("nothing was audited" in done.stdout) == (said.startswith(("pip-audit", "no service")))
    if fetched == 0:
        assert (tmp_path / "tools" / "installed.txt").read_text() == "one==1.0\ntorch==2.0\n"
