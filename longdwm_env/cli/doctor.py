"""``longdwm doctor``: what this machine has, and what is missing for which feature."""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from dataclasses import dataclass, field


@dataclass
class Diagnosis:
    """Lines to print and problems found; a problem is something the core needs and does not have."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def say(self, topic: str, text: str) -> None:
        """Add a line under a topic."""
        self.lines.append(f"  {topic:<24}{text}")


CORE = (
    "torch",
    "diffusers",
    "transformers",
    "gymnasium",
    "numpy",
    "scipy",
    "opencv-python-headless",
    "pygame-ce",
    "highway-env",
    "safetensors",
    "av",
    "tyro",
    "msgspec",
)

FEATURES = {
    "nuScenes scenes": ("nuscenes", "nuscenes", ()),
    "training": ("train", "accelerate", ("torchmetrics", "tensorboard", "peft", "sentencepiece")),
    "weights of eight bits": ("large", "torchao", ()),
    "stable-baselines3": ("rl", "stable_baselines3", ()),
    "many machines": ("cluster", "ray", ()),
    "remote policies": ("remote", "websockets", ()),
    "driving in a browser": ("serve", "starlette", ("uvicorn", "websockets")),
}

CLASHES = (
    (
        "cv2",
        ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
        "opencv-python-headless",
    ),
    ("pygame", ("pygame", "pygame-ce"), "pygame-ce"),
)


def doctor() -> int:
    """Print versions, device, codecs, display and missing features. Exit status 1 if the core cannot run."""
    diagnosis = Diagnosis()
    _versions(diagnosis)
    _clashes(diagnosis)
    _device(diagnosis)
    _codecs(diagnosis)
    _display(diagnosis)
    _features(diagnosis)
    print("\n".join(diagnosis.lines))
    for problem in diagnosis.problems:
        print(f"problem: {problem}", file=sys.stderr)
    print("something is wrong: see above" if diagnosis.problems else "all of the core is here")
    return 1 if diagnosis.problems else 0


def _installed(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _versions(diagnosis: Diagnosis) -> None:
    diagnosis.say("longdwm", _installed("longdwm") or "not installed (running from a folder)")
    diagnosis.say("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for distribution in CORE:
        version = _installed(distribution)
        diagnosis.say(distribution, version or "MISSING")
        if version is None:
            diagnosis.problems.append(f"{distribution} is not installed: pip install {distribution}")


def _clashes(diagnosis: Diagnosis) -> None:
    for module, distributions, wanted in CLASHES:
        present = [name for name in distributions if _installed(name)]
        if len(present) > 1:
            extra = " ".join(name for name in present if name != wanted)
            diagnosis.problems.append(
                f"{' and '.join(present)} install over the same folder ({module}); keep one: "
                f"pip uninstall -y {extra} && pip install --force-reinstall --no-deps {wanted}"
            )
        diagnosis.say(f"{module} packages", ", ".join(present) or "none")


def _device(diagnosis: Diagnosis) -> None:
    from longdwm_env.models.machine import accelerator, processor

    diagnosis.say("processor", f"{os.cpu_count()} cores of {processor()}")
    try:
        found = accelerator()
    except ImportError as error:
        diagnosis.problems.append(f"torch does not import: {error}")
        return
    diagnosis.say("GPU", found or "none; everything runs on the CPU")


def _codecs(diagnosis: Diagnosis) -> None:
    try:
        import av
    except ImportError as error:
        diagnosis.problems.append(f"av does not import: {error}")
        return
    names = ("libx264", "h264", "hevc", "av1", "vp9")
    diagnosis.say("video codecs", ", ".join(name for name in names if name in av.codecs_available))
    if "libx264" not in av.codecs_available:
        diagnosis.problems.append("this av has no libx264, so no mp4 can be written: pip install --force-reinstall av")


def _display(diagnosis: Diagnosis) -> None:
    from longdwm_env.io.human_window import no_window

    driver = os.environ.get("SDL_VIDEODRIVER")
    reason = no_window()
    diagnosis.say("display", f"{reason}: windows cannot open; rgb_array and files work" if reason else "yes")
    if driver:
        diagnosis.say("SDL_VIDEODRIVER", driver)


def _features(diagnosis: Diagnosis) -> None:
    for feature, (extra, module, also) in FEATURES.items():
        missing = [name for name in (module, *also) if importlib.util.find_spec(name) is None]
        hint = f"missing {', '.join(missing)}: pip install 'longdwm[{extra}]'"
        diagnosis.say(feature, hint if missing else "ready")
