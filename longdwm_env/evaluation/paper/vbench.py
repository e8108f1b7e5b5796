"""The VBench dimensions that the paper uses (Huang et al. 2024), through VBench's own package where it is installed.

Deviation: none in the numbers: nothing here imitates VBench. Its networks (RAFT, AMT, MUSIQ, the LAION aesthetic head)
are loaded by the package itself from where its own settings say; it brings torchvision and large downloads.
"""

import importlib
import importlib.util
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from longdwm_env.errors import MissingDependency
from longdwm_env.io.video import write_video
from longdwm_env.types import Images

DIMENSIONS = ("motion_smoothness", "dynamic_degree", "imaging_quality", "aesthetic_quality")
"""Table 7 and Table 10 of the paper."""


def available() -> bool:
    """Whether the vbench package is installed."""
    return importlib.util.find_spec("vbench") is not None


def vbench_scores(videos: Path, out: Path, device: str = "cuda") -> dict[str, float]:
    """Scores in [0, 1] of a folder of mp4 files.

    Args:
        videos: folder.
        out: folder for VBench's own result files.
        device: where its networks run.

    Raises:
        MissingDependency: VBench is not installed; the message says how to get it.
    """
    if not available():
        raise MissingDependency(
            f"VBench ({', '.join(DIMENSIONS)}) is not installed: pip install vbench (it needs torchvision, and "
            "downloads its networks on first use). All other metrics work without it"
        )
    # Found at run time: the package has no types and is seldom there.
    vbench = importlib.import_module("vbench")

    out.mkdir(parents=True, exist_ok=True)
    runner = vbench.VBench(device, str(Path(str(vbench.__file__)).parent / "VBench_full_info.json"), str(out))
    runner.evaluate(
        videos_path=str(videos), name="longdwm", dimension_list=list(DIMENSIONS), mode="custom_input", local=False
    )
    results = json.loads((out / "longdwm_eval_results.json").read_text())
    return {name: float(results[name][0]) for name in DIMENSIONS}


def vbench_of(videos: Sequence[Images], out: Path) -> dict[str, float]:
    """Scores of videos, each uint8 (T, H, W, 3); see ``vbench_scores``."""
    with tempfile.TemporaryDirectory() as folder:
        for number, video in enumerate(videos):
            write_video(Path(folder) / f"{number:04d}.mp4", [video])
        return vbench_scores(Path(folder), out)
