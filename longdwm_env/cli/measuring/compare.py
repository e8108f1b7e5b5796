"""``longdwm metrics``, ``compare-page`` and ``win-rates``: two folders of videos compared, by numbers or by people."""

from pathlib import Path

from longdwm_env.cli.destination import holding_its
from longdwm_env.cli.measuring.paper_metrics import OWN_NETWORKS, NetworksFlag, opened_networks
from longdwm_env.cli.tables import written


@holding_its("folder")
def folders(
    real: Path,
    generated: Path,
    networks: NetworksFlag = OWN_NETWORKS,
    out: Path = Path("outputs/metrics"),
    vbench: bool = False,
    device: str = "cpu",
) -> int:
    """Compare a folder of generated videos with a folder of real ones; the same names are compared frame by frame.

    Args:
        real: mp4 files, or one folder of pictures per video.
        generated: likewise.
        networks: to measure with.
        out: folder of the table.
        vbench: also run VBench's dimensions on the generated mp4 files.
        device: where feature networks run, such as cuda.
    """
    from longdwm_env.evaluation.paper.opening import check_device
    from longdwm_env.evaluation.paper.vbench import vbench_scores
    from longdwm_env.evaluation.paper.video_folders import ReadWhenAsked, VideoFolder, paired
    from longdwm_env.evaluation.paper.video_sets import measure
    from longdwm_env.evaluation.report import Table

    check_device(device)
    opened = opened_networks(networks, device)
    truth, made = VideoFolder(real), VideoFolder(generated)
    both = paired(truth, made)
    height, width = truth.read(truth.names[0]).shape[1:3]
    videos = [ReadWhenAsked(folder, both or folder.names, (height, width)) for folder in (truth, made)]
    opened.check_files()
    found, left_out = measure(videos[0], videos[1], opened, is_paired=bool(both))
    if vbench:
        found |= vbench_scores(generated, out / "vbench", device)
    notes = tuple(f"{metric}: {reason}" for metric, reason in left_out.items())
    facts = {"real": real, "generated": generated, **opened.facts()}
    rows = ((generated.name, tuple(found.values())),)
    title = "Generated against real videos"
    return written(Table("videos", title, ("videos", *found), rows, len(videos[1]), facts, notes), out)


@holding_its("file")
def compare_page(
    first: Path,
    second: Path,
    out: Path = Path("outputs/compare.html"),
    names: tuple[str, str] | None = None,
    questions: tuple[str, ...] = ("visual", "motion", "trajectory"),
    pairs: int = 40,
    seed: int = 0,
) -> int:
    """Build a page on which people choose between two models' videos, side by side in random order.

    Args:
        first: folder of mp4 files of one model.
        second: folder of mp4 files of the other; the same names show the same scene.
        out: page to write; its key is written beside it.
        names: of the two models; default: the folders' names.
        questions: visual, motion, trajectory.
        pairs: most pairs to show; 40 in the paper.
        seed: of order and sides.
    """
    from longdwm_env.errors import InvalidConfig
    from longdwm_env.evaluation.paper.human_comparison import Pair, build_page

    common = sorted({p.name for p in first.glob("*.mp4")} & {p.name for p in second.glob("*.mp4")})[:pairs]
    if not common:
        raise InvalidConfig(f"{first} and {second} have no mp4 files of the same name")
    shown = [Pair(Path(name).stem, first / name, second / name) for name in common]
    page, key = build_page(shown, names or (first.name, second.name), out, questions, seed)
    print(f"{page}: {len(shown)} pairs. Keep {key} to yourself until the answers are in.")
    return 0


@holding_its("folder")
def win_rates(key: Path, answers: tuple[Path, ...], out: Path = Path("outputs/metrics")) -> int:
    """Count the answers that people saved from a comparison page.

    Args:
        key: written beside the page.
        answers: files of answers, one per person.
        out: folder of the table.
    """
    from longdwm_env.evaluation.paper.human_comparison import names_of
    from longdwm_env.evaluation.paper.human_comparison import win_rates as count
    from longdwm_env.evaluation.report import Table

    first, second = names_of(key)
    found = count(key, answers)
    rows = tuple((rate.question, (rate.answers, rate.wins, rate.share)) for rate in found)
    paper = (("visual", (800, None, 0.545)), ("motion", (800, None, 0.525)), ("trajectory", (800, None, 0.679)))
    total = sum(rate.answers for rate in found)
    table = Table(
        "win-rates", f"{first} against {second}, by people", ("question", "answers", f"{first} preferred", "share"),
        rows, total, {"people": len(answers)}, ("The paper's rows are LongDWM against Vista.",), paper, 2400,
    )  # fmt: skip
    return written(table, out)
