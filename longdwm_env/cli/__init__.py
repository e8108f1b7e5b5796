"""The ``longdwm`` command. One file per command; a command's typed signature is its command line.

This is the top layer: commands may import every other part, and do so inside their functions, so that
``longdwm --help`` answers at once and a command loads only what it needs.
"""

import atexit
import importlib.metadata
import io
import os
import select
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import tyro

from longdwm_env.cli.commands import COMMANDS, Command
from longdwm_env.errors import LongDWMError
from longdwm_env.io.processes import left
from longdwm_env.io.refusals import REFUSED, refusal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status.

    0 for success, 1 for what the machine refused on the way (a full disk), 2 for a mistake in what was asked, and
    128 + n for a signal n.
    """
    _print_anything()
    left_before = left()
    status = _run_to_its_end(arguments)
    interrupted = arguments is None and status == 128 + signal.SIGINT
    if interrupted:
        # Taking down the interpreter with all that was loaded takes seconds, and a minute on a busy machine.
        atexit._run_exitfuncs()
    if interrupted or any(thread not in left_before for thread in left()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _print_anything() -> None:
    """Names of files may hold what a terminal has no letters for, or what is no text at all: then escapes are shown."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run_to_its_end(arguments: Sequence[str] | None) -> int:
    try:
        try:
            status = _dispatched(arguments)
        finally:
            # Left to the interpreter's end, this could only complain.
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_has_left():
            raise
        _silence_stdout()
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print("\nlongdwm: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        print(f"longdwm: error: what it says cannot be written: {error.strerror}", file=sys.stderr)
        _silence_stdout()
        return 1
    return status


def _dispatched(arguments: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = "longdwm"
    commands: Mapping[str, Command | Mapping[str, Command]] = COMMANDS
    while words and words[0] in commands:
        word = words.pop(0)
        name, entry = f"{name} {word}", commands[word]
        if isinstance(entry, Command):
            return run(name, entry, words)
        commands = entry
    alone = commands.get("")
    if isinstance(alone, Command) and words and words[0].startswith("--") and words[0] != "--help":
        return run(name, alone, words)
    if words == ["--version"] and commands is COMMANDS:
        print(f"longdwm {_version()}")
        return 0
    if words and words[0] not in ("-h", "--help"):
        print(f"{name}: no command {words[0]!r}; there are: {', '.join(filter(None, commands))}", file=sys.stderr)
        return 2
    print(_overview(name, commands))
    return 0


def load(command: Command) -> Callable[..., object]:
    """The function behind a command."""
    module, _, function = command.target.partition(":")
    loaded: Callable[..., object] = import_module(f"longdwm_env.cli.{module}").__dict__[function]
    return loaded


def _reader_has_left() -> bool:
    """Whether the reader of the output is gone; else a broken pipe is another one, and a fault."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in output.poll(0))


def _silence_stdout() -> None:
    """Let the interpreter's last flush go nowhere: the reader of the output, such as ``head``, has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(name: str, command: Command, words: Sequence[str]) -> int:
    """One command with its options; a mistake, or what the machine refuses, is one line. Returns the exit status."""
    try:
        Path.cwd()
    except FileNotFoundError:
        print(f"{name}: error: the folder that it was started in is gone; change to one that is there", file=sys.stderr)
        return 2
    try:
        result = tyro.cli(load(command), prog=name, args=words)
    except LongDWMError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        refused = refusal(error)
        if refused is None:
            raise
        print(f"{name}: error: {refused}", file=sys.stderr)
        return 1
    return result if isinstance(result, int) else 0


def _version() -> str:
    try:
        return importlib.metadata.version("longdwm")
    except importlib.metadata.PackageNotFoundError:
        return "not installed (running from a folder)"


def _overview(name: str, commands: Mapping[str, Command | Mapping[str, Command]]) -> str:
    rows: list[tuple[str, str]] = []
    for word, entry in commands.items():
        group = (
            {word: entry} if isinstance(entry, Command) else {f"{word} {sub}".strip(): c for sub, c in entry.items()}
        )
        rows += [(words, command.about) for words, command in group.items()]
    width = max(len(words) for words, _ in rows)
    lines = [f"  {words:<{width}}  {about}" for words, about in rows]
    hint = "every command has --help" + (f"; {name} --version" if commands is COMMANDS else "")
    return "\n".join([f"usage: {name} COMMAND [options]    ({hint})", "", *lines])
