"""Where results come from: the command, the versions, and hashes of what was loaded."""

import hashlib
import importlib.metadata
import platform
import shlex
import sys
from pathlib import Path

from longdwm_env.agents.evaluation.config import EvaluationConfig
from longdwm_env.agents.naming import PolicySpec

PACKAGES = ("longdwm", "numpy", "gymnasium", "torch", "diffusers", "highway-env", "opencv-python-headless")


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
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def hashes(config: EvaluationConfig) -> dict[str, str]:
    """SHA-256 of the files behind the world and the policies, where they are files here."""
    named = {config.world: Path(config.world)}
    for policy in (*config.policies, *([config.reference] if config.reference else [])):
        named[policy] = Path(PolicySpec.parse(policy).target)
    return {name: path_hash(path) for name, path in named.items() if path.exists()}


def path_hash(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files in a folder."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    for file in files:
        name = file.name if path.is_file() else file.relative_to(path).as_posix()
        digest.update(f"{name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
