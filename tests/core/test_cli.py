import errno
import os
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

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


def test_a_group_may_take_options_of_its_own(capsys):
    with pytest.raises(SystemExit):
        main(["metrics", "--real"])
    assert "real" in capsys.readouterr().err


def test_an_interrupt_is_one_line_not_a_traceback(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("longdwm_env.cli.load", interrupted)
    assert main(["doctor"]) == 128 + signal.SIGINT
    assert capsys.readouterr().err.strip() == "longdwm: interrupted"


COMMAND = "import sys; from longdwm_env.cli import main; sys.exit(main(sys.argv[1:]))"


MODULE = [sys.executable, "-m", "longdwm_env.cli"]


def test_help_answers_without_loading_torch():
    code = "import sys; from longdwm_env.cli import main; main([]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_it_runs_as_a_module_where_the_command_is_not_on_the_path():
    done = subprocess.run([*MODULE, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"longdwm {metadata.version('longdwm')}\n")


def test_a_reader_that_leaves_early_is_no_error_and_a_full_one_is_one_line():
    """As with ``longdwm | head -1``: the far end of the pipe is closed before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    full = os.open("/dev/full", os.O_WRONLY)
    left, filled = (subprocess.run(MODULE, stdout=to, stderr=subprocess.PIPE, check=False) for to in (writing, full))
    os.close(writing)
    os.close(full)
    assert (left.returncode, left.stderr) == (128 + signal.SIGPIPE, b"")
    assert (filled.returncode, filled.stderr.count(b"\n")) == (1, 1)
    assert b"No space left" in filled.stderr


def test_names_that_a_terminal_cannot_show_are_shown_as_escapes(tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9-\xe2\x82\xac.jpg"
    words = [*MODULE, b"demo", b"--scene", name]
    done = subprocess.run(words, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"no such file" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_folder_that_is_gone_is_one_line(tmp_path):
    gone = tmp_path / "gone"
    program = f"import os, shutil; shutil.rmtree({str(gone)!r}); " + COMMAND
    gone.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program, "doctor"], cwd=gone, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "gone" in done.stderr


def test_what_the_machine_refuses_on_the_way_is_one_line(monkeypatch, capsys):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device", "out/video.mp4")

    monkeypatch.setattr("longdwm_env.cli.load", lambda command: full)
    assert main(["doctor"]) == 1
    told = "No space left on device: out/video.mp4; what was written before is kept"
    assert capsys.readouterr().err == f"longdwm doctor: error: {told}\n"


TAKEN = {"demo": "contact_sheet.png", "media": "media.json", "evaluate": "report.html"}


@pytest.mark.parametrize("command", TAKEN)
def test_a_folder_where_a_result_should_be_is_one_line_before_the_work(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("longdwm_env.factory.make_world", lambda *_: pytest.fail("a world was loaded"))
    (tmp_path / TAKEN[command]).mkdir()
    words = ["--policy", "idm"] if command == "evaluate" else []
    for place in (tmp_path, Path("/proc/nowhere")):
        assert main([command, *words, "--out", str(place)]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"longdwm {command}: error: ")
        assert said.count("\n") == 1


def test_an_interrupted_command_ends_at_once(monkeypatch):
    """What was asked for at exit is done; taking down the interpreter, which takes long, is not."""
    from longdwm_env import cli

    ended = []
    monkeypatch.setattr(cli, "_run_to_its_end", lambda arguments: 130)
    monkeypatch.setattr(cli.atexit, "_run_exitfuncs", lambda: ended.append("exit functions"))
    monkeypatch.setattr(cli.os, "_exit", ended.append)
    cli.main()
    assert ended == ["exit functions", 130]
    assert cli.main(["--version"]) == 130
    assert ended == ["exit functions", 130], "called from Python, it returns"
