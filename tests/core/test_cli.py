import os
import signal
import subprocess
import sys

import pytest

from longdwm_env.cli import load, main
from longdwm_env.cli.commands import COMMANDS, Command


def every_command():
    for word, entry in COMMANDS.items():
        if isinstance(entry, Command):
            yield (word,), entry
        else:
            yield from (((word, sub), command) for sub, command in entry.items() if sub)


@pytest.mark.parametrize(
    ("words", "command"), list(every_command()), ids=lambda value: "-".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_exists_and_explains_itself(words, command, capsys):
    assert callable(load(command))
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    assert f"longdwm {' '.join(words)}" in capsys.readouterr().out


def test_the_overview_lists_every_command(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    for words, _ in every_command():
        assert " ".join(words) in shown


@pytest.mark.parametrize("words", [["dance"], ["bench", "dance"]])
def test_an_unknown_command_lists_what_exists(words, capsys):
    assert main(words) == 2
    assert "there are:" in capsys.readouterr().err


def test_a_mistake_in_what_was_asked_is_one_line_not_a_traceback(capsys, tmp_path):
    assert main(["demo", "--scene", str(tmp_path / "nowhere.jpg"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "nowhere.jpg" in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_help_answers_without_loading_torch():
    code = "import sys; from longdwm_env.cli import main; main([]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_group_may_take_options_of_its_own(capsys):
    with pytest.raises(SystemExit):
        main(["metrics", "--real"])
    assert "real" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error():
    """As with ``longdwm | head -1``: the far end of the pipe is closed before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    code = "import sys; from longdwm_env.cli import main; sys.exit(main([]))"
    done = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == ""


def test_an_interrupt_is_one_line_not_a_traceback(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("longdwm_env.cli.load", interrupted)
    assert main(["doctor"]) == 128 + signal.SIGINT
    assert capsys.readouterr().err.strip() == "longdwm: interrupted"
