"""A command that needs an extra says so in one line, before it does anything, whatever else is wrong with it.

Training without accelerate: ``tests/training/test_asked_first.py``.
"""

import sys

import pytest

from longdwm_env.cli import main


class Hidden:
    """As if packages were not installed."""

    def __init__(self, *names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}")


@pytest.mark.parametrize(
    ("package", "extra", "words"),
    [
        ("starlette", "serve", "serve --no-browser"),
        ("websockets", "serve", "serve --no-browser"),
        ("websockets", "remote", "serve-policy --policy idm"),
        ("websockets", "remote", "evaluate --policy ws://127.0.0.1:9 --out OUT"),
        ("ray", "cluster", "evaluate --policy idm --cluster local --out OUT"),
        ("torchmetrics", "train", "metrics --real HERE --generated HERE --inception inception.pt --out OUT"),
        ("torchmetrics", "train", "metrics short --model HERE --inception inception.pt"),
        ("pyarrow", "lerobot", "data import lerobot HERE --out OUT"),
        ("nuscenes", "nuscenes", "train footage --recipe mini-nuscenes --size debug --data HERE --out OUT"),
    ],
)
def test_one_line_and_nothing_done(package, extra, words, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "meta_path", [Hidden(package), *sys.meta_path])
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    here, out = tmp_path / "here", tmp_path / "out"
    here.mkdir()
    if package == "nuscenes":
        (here / "v1.0-mini").mkdir()
        for table in ("scene", "sample", "sample_data", "log"):
            (here / "v1.0-mini" / f"{table}.json").write_text("[]")
    assert main([{"HERE": str(here), "OUT": str(out)}.get(word, word) for word in words.split()]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1, told
    assert f"pip install 'longdwm[{extra}]'" in told
    assert not out.exists()
