"""The videos that a world of one road is made from: checked and measured before anything else is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig, InvalidScene
from longdwm_env.io.files import content_hash
from longdwm_env.scenes.ego_motion import SUFFIX, Options, write_video_poses
from longdwm_env.scenes.ego_motion.poses_file import read_trust
from longdwm_env.scenes.media.sidecar import FILE_SUFFIX, FOLDER_SIDECAR
from longdwm_env.scenes.media.video_frames import video_facts
from longdwm_env.training.mine.recipe import LEAST_FRAMES

HELD_OUT_SHARE, MOST_HELD_OUT_S = 0.15, 40.0
LEAST_HELD_OUT_S = 6.0
"""Three seconds to begin from, two to measure, one to start at."""

_BESIDE = (SUFFIX, FILE_SUFFIX, ".json", ".txt", ".tum", ".srt")


@dataclass(frozen=True)
class MyVideos:
    """Videos in the folder of a run.

    Attributes:
        folder: of links to them, with poses and cameras beside.
        files: the links that are used, in order.
        held_out_s: seconds at the end of the last one that no training sees.
        hashes: of the files, by name.
    """

    folder: Path
    files: tuple[Path, ...]
    lengths_s: tuple[float, ...]
    held_out_s: float
    hashes: dict[str, str]

    @property
    def held_out(self) -> tuple[Path, float]:
        """The video with the held-out part, and when that begins."""
        return self.files[-1], self.lengths_s[-1] - self.held_out_s

    @property
    def until_s(self) -> dict[str, float]:
        """By name, where training's part of a video ends."""
        video, begins = self.held_out
        return {video.name: begins}

    @property
    def training_s(self) -> float:
        """Seconds that training sees, before those with poses that cannot be trusted are left out."""
        return sum(self.lengths_s) - self.held_out_s


def linked_videos(
    given: Sequence[Path], folder: Path, held_out_s: float | None, say: Callable[[str], None] = print
) -> MyVideos:
    """Look at videos and link them into a run's folder, with what lies beside them. One that is of no use is named.

    Args:
        given: the videos.
        folder: of the links.
        held_out_s: of the last one; None for 15 % of all, from 6 to 40 s.
        say: where reasons go.

    Raises:
        InvalidConfig: none is of use, two have one name, or nothing would be left to train on.
    """
    usable = []
    for video in given:
        try:
            facts = video_facts(video.expanduser().absolute())
        except InvalidScene as error:
            say(f"left out: {error}")
            continue
        if facts.damage:
            say(facts.damage)
        if int(facts.last_s * FPS) + 1 < LEAST_FRAMES:
            say(f"left out: {video} lasts {facts.last_s:.1f} s; {LEAST_FRAMES / FPS:.1f} s is the least")
            continue
        usable.append((video.expanduser().absolute(), facts.last_s))
    if not usable:
        raise InvalidConfig("none of the videos can be used; the reasons are above")
    names = [video.name for video, _ in usable]
    if len(set(names)) < len(names):
        raise InvalidConfig(f"two of the videos have the same name: {names}; rename one")
    last_s = usable[-1][1]
    total = sum(length for _, length in usable)
    held = min(HELD_OUT_SHARE * total, MOST_HELD_OUT_S) if held_out_s is None else held_out_s
    held = max(held, LEAST_HELD_OUT_S)
    if held > last_s or total - held < LEAST_FRAMES / FPS:
        raise InvalidConfig(
            f"{held:.1f} s are to be held out at the end of {names[-1]}, which lasts {last_s:.1f} s (all videos "
            f"{total:.1f} s): at least {LEAST_HELD_OUT_S:g} s are held out, to measure with, and "
            f"{LEAST_FRAMES / FPS:.1f} s must be left to train on. Give a longer video, or another one last"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for video, _ in usable:
        _link(video, folder / video.name)
        for suffix in _BESIDE:
            beside = video.with_suffix(suffix)
            if beside.is_file():
                _link(beside, folder / beside.name)
        shared = video.parent / FOLDER_SIDECAR
        if shared.is_file() and not (folder / video.with_suffix(FILE_SUFFIX).name).exists():
            _link(shared, folder / video.with_suffix(FILE_SUFFIX).name)
    return MyVideos(
        folder,
        tuple(folder / name for name in names),
        tuple(length for _, length in usable),
        held,
        {video.name: content_hash(video) for video, _ in usable},
    )


def _link(source: Path, target: Path) -> None:
    if target.is_symlink() or target.exists():
        if target.resolve() == source.resolve() or not target.is_symlink():
            return
        target.unlink()
    target.symlink_to(source.resolve())


def estimate_poses(
    videos: MyVideos,
    options: Options,
    say: Callable[[str], None] = print,
    reached: Callable[[float], None] = lambda share: None,
) -> MyVideos:
    """Poses beside each video that has none; those that cannot be trusted are left out, with the reason.

    An estimate that was stopped goes on: what it found is kept, by pieces of the video of 40 s.

    Raises:
        InvalidConfig: none is left, or not the last one, which is measured with.
    """
    kept = []
    total, before_s = 2 * sum(videos.lengths_s), 0.0
    for file, length in zip(videos.files, videos.lengths_s, strict=True):
        watch = _Watch(reached, before_s, total)
        before_s += 2 * length
        if not any(file.with_suffix(suffix).is_file() for suffix in (SUFFIX, ".json", ".txt", ".tum")):
            try:
                report = write_video_poses(file, options, watch, file.with_suffix(".poses.parts"))
            except InvalidScene as error:
                say(f"left out: {error}")
                continue
            mean = report.motion.speeds_mps.mean() * 3.6
            say(
                f"{file.name}: {mean:.0f} km/h on average, {report.motion.trusted_share:.0%} of the frames trusted, "
                f"scale from {report.scale_from}, field of view {report.motion.found.focal_from}"
            )
        kept.append((file, length))
    if not kept or kept[-1][0] != videos.files[-1]:
        raise InvalidConfig(
            f"the motion in {videos.files[-1].name} cannot be read from its pictures, and it is to be measured with: "
            "give --height, --fov, --horizon or --mask where you know them, or another video last"
        )
    files, lengths = zip(*kept, strict=True)
    return MyVideos(videos.folder, files, lengths, videos.held_out_s, {f.name: videos.hashes[f.name] for f in files})


class _Watch:
    """How much has been read of videos, each of which is read twice.

    Args:
        reached: called with the share.
        before_s: seconds read of those before.
        total_s: to be read of all.
    """

    def __init__(self, reached: Callable[[float], None], before_s: float, total_s: float) -> None:
        self._reached, self._before, self._total, self._last = reached, before_s, total_s, 0.0

    def __call__(self, time_s: float) -> None:
        if time_s < self._last:
            self._before += self._last
        self._last = time_s
        self._reached((self._before + time_s) / self._total)


def longest_frames(videos: MyVideos) -> int:
    """The longest stretch without a cut, outside the held-out part, in frames of the clock."""
    longest = 0
    for file, length in zip(videos.files, videos.lengths_s, strict=True):
        end = int(videos.until_s.get(file.name, length) * FPS)
        poses = file.with_suffix(SUFFIX)
        cuts = read_trust(poses).cuts if poses.is_file() else ()
        bounds = [0, *(cut for cut in cuts if 0 < cut < end), end]
        longest = max(longest, *(second - first for first, second in pairwise(bounds)))
    return longest
