"""What people type and import: commands with options, keywords of environments, info keys, names in documents.

``python tests/core/surface.py`` writes ``surface.json`` anew.
"""

import ast
import dataclasses
import inspect
import json
import re
import typing
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).with_suffix(".json")


def commands():
    """For each command its options, as ``--name = default [choices]``."""
    from longdwm_env.cli import load
    from longdwm_env.cli.commands import COMMANDS, Command

    found = {}
    for word, entry in COMMANDS.items():
        group = {"": entry} if isinstance(entry, Command) else entry
        for sub, command in group.items():
            found[f"{word} {sub}".strip()] = list(_options(load(command)))
    return found


def _options(function):
    hints = typing.get_type_hints(function, include_extras=True)
    for parameter in inspect.signature(function).parameters.values():
        yield from _option(parameter.name, hints[parameter.name], parameter.default)


def _option(name, hint, default):
    settings = []
    while typing.get_origin(hint) is typing.Annotated:
        hint, *more = typing.get_args(hint)
        settings += more
    named = [one.name for one in settings if getattr(one, "name", None) is not None]
    if dataclasses.is_dataclass(hint):
        prefix = "" if named == [""] else f"{name}."
        inner = typing.get_type_hints(hint, include_extras=True)
        for one in dataclasses.fields(hint):
            own = one.default if default is inspect.Parameter.empty else getattr(default, one.name)
            yield from _option(prefix + one.name, inner[one.name], own)
        return
    is_positional = any("Positional" in str(one) for one in settings)
    word = (named or [name])[0].replace("_", "-")
    shown = "required" if default in (inspect.Parameter.empty, dataclasses.MISSING) else _plain(default)
    choices = sorted({str(choice) for part in _parts(hint) for choice in typing.get_args(part)})
    yield f"{'' if is_positional else '--'}{word} = {shown}" + (f" {choices}" if choices else "")


def _parts(hint):
    """The Literals in a hint."""
    if typing.get_origin(hint) is typing.Literal:
        return [hint]
    return [found for part in typing.get_args(hint) for found in _parts(part)]


def _plain(value):
    return value.as_posix() if isinstance(value, Path) else repr(value)


def keywords():
    """Keywords of both environments."""
    from longdwm_env.env import LongDWMEnv
    from longdwm_env.vector_env import LongDWMVectorEnv

    return {
        kind.__name__: [name for name in inspect.signature(kind.__init__).parameters if name not in ("self", "kwargs")]
        for kind in (LongDWMEnv, LongDWMVectorEnv)
    }


def info_keys():
    """Keys of ``info``, one level down too."""
    from longdwm_env.env import LongDWMEnv

    environment = LongDWMEnv(world="simulator", action_mode="command", image_size=(24, 36))
    _, first = environment.reset(seed=1_000_010)
    *_, later = environment.step(np.int64(0))
    return {"reset": _keys(first), "step": _keys(later)}


def _keys(info):
    return sorted([*info, *(f"{key}.{one}" for key, value in info.items() if isinstance(value, dict) for one in value)])


def names():
    """What documents and examples import from the package."""
    import longdwm_env

    found = {f"longdwm_env.{name}" for name in longdwm_env.__all__}
    texts = [path.read_text() for path in (ROOT / "examples").glob("*.py")]
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        texts += re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    for text in texts:
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("longdwm_env"):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return sorted(found)


def surface():
    return {"commands": commands(), "keywords": keywords(), "info": info_keys(), "names": names()}


if __name__ == "__main__":
    KEPT.write_text(json.dumps(surface(), indent=1, sort_keys=True) + "\n")
    print(KEPT)
