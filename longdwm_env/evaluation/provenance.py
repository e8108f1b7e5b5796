"""Where results come from: the command, the versions, and hashes of what was loaded."""

import hashlib
import importlib.metadata
import math
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from longdwm_env.agents.naming import REGISTRY, PolicySpec
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig
from longdwm_env.factory import world_folder
from longdwm_env.io.names import is_file, is_there
from longdwm_env.io.words import clean
from longdwm_env.scenes.made_roads import without_words
from longdwm_env.scenes.media.sidecar import FILE_SUFFIX, FOLDER_SIDECAR

PACKAGES = ("longdwm", "numpy", "gymnasium", "torch", "diffusers", "highway-env", "opencv-python-headless")

LARGEST_READ_BYTES = 1 << 31
"""Of a dataset so much is read to tell whether it has changed: seconds, not the hours that all of nuScenes takes."""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide results."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def command() -> str:
    """The command line of this process."""
    return clean(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]), 100_000)


def hashes(config: EvaluationConfig) -> dict[str, str]:
    """SHA-256 of the files behind world, scenes and policies, by name, where they are files here.

    Raises:
        InvalidConfig: one of them cannot be read.
    """
    try:
        found = {name: path_hash(path) for name, path in _weights_and_programs(config).items()}
        if config.scenes is not None:
            found[f"scenes {config.scenes}"] = scenes_hash(Path(without_words(config.scenes)[0]).expanduser())
    except OSError as error:
        raise InvalidConfig(f"what is to be evaluated cannot be read: {error}") from error
    return found


def _weights_and_programs(config: EvaluationConfig) -> dict[str, Path]:
    named: dict[str, Path | None] = {config.world: world_folder(config.world)}
    for policy in (*config.policies, *([config.reference] if config.reference else [])):
        spec = PolicySpec.parse(policy)
        named[policy] = _program(spec)
        # A file among the parameters is most likely the policy's weights.
        for key, value in spec.parameters.items():
            if isinstance(value, str) and is_file(value):
                named[f"{policy} {key}"] = Path(value)
    return {name: path for name, path in named.items() if path is not None and is_there(path)}


def _program(spec: PolicySpec) -> Path | None:
    if spec.target in REGISTRY or spec.is_remote:
        return None
    module, colon, _ = spec.target.partition(":")
    return _module_file(module) if colon and not is_there(Path(spec.target)) else Path(spec.target)


def _module_file(name: str) -> Path | None:
    """The file of a module, found without running any of it."""
    places: list[str] | None = None
    origin = None
    parts = name.split(".")
    if not all(parts):
        return None
    for count in range(1, len(parts) + 1):
        found = PathFinder.find_spec(".".join(parts[:count]), places)
        if found is None:
            return None
        origin, places = found.origin, list(found.submodule_search_locations or [])
    return None if origin is None else Path(origin)


def path_hash(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files in a folder."""
    return _hash(path, _files(path))


def scenes_hash(path: Path) -> str:
    """The same of what scenes are read from: a picture's or video's camera file belongs to it.

    Of a dataset larger than ``LARGEST_READ_BYTES`` the files beyond that count by name, size and time of change.
    """
    beside = (path.with_name(path.stem + FILE_SUFFIX), path.with_name(FOLDER_SIDECAR)) if path.is_file() else ()
    return _hash(
        path.parent if path.is_file() else path, [*_files(path), *filter(is_there, beside)], LARGEST_READ_BYTES
    )


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if is_there(path) else []
    seen = {str(path.resolve())}
    found: list[Path] = []
    for folder, below, names in os.walk(path, followlinks=True):
        # Parts of a dataset may be links to other disks, and a link may lead back to where it stands.
        below[:] = [name for name in sorted(below) if str((Path(folder) / name).resolve()) not in seen]
        seen.update(str((Path(folder) / name).resolve()) for name in below)
        found += [Path(folder) / name for name in names]
    return sorted(file for file in found if file.is_file())


def _hash(root: Path, files: Sequence[Path], readable_bytes: float = math.inf) -> str:
    digest = hashlib.sha256()
    for file in files:
        name = file.name if file == root else file.relative_to(root).as_posix()
        status = file.stat()
        digest.update(f"{name}\0{status.st_size}\0".encode("utf-8", "surrogateescape"))
        readable_bytes -= status.st_size
        if readable_bytes < 0:
            digest.update(f"{status.st_mtime_ns}\0".encode())
            continue
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
