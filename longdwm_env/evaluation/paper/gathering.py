"""The loop of every protocol: one sample after the other is read, continued by each system, measured, and let go."""

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn
from tqdm import tqdm

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.paper.continuations import Sample, sample_at, too_short
from longdwm_env.evaluation.paper.kept_numbers import KeptNumbers, Numbers, NumbersOf
from longdwm_env.io.video import write_video
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.data.clip import ClipSource
from longdwm_env.training.data.encoded.latents import weights_hash
from longdwm_env.types import Images

TRUTH = "the truth itself"


@dataclass(frozen=True)
class Maker:
    """What makes a video of a sample.

    Attributes:
        system: what does it; its fields decide the videos (``described``).
        make: of a sample the whole video, uint8 (T + 1, H, W, 3), the given frame first.
    """

    name: str
    system: object
    make: Callable[[Sample], Images]


@dataclass
class Gathered:
    """What was read of the real and of every system's videos."""

    real: NumbersOf
    made: dict[str, NumbersOf]
    keys: list[str]
    first: Callable[[], Sample]
    _kept_open: ExitStack = field(default_factory=ExitStack, repr=False)

    def timed(self, name: str, timings: Sequence[Callable[[Sample], float]]) -> list[float]:
        """Seconds that a system takes for the first sample, one figure a call; measured once and then kept."""
        kept, place = self.made[name].kept, self.made[name].places[0]
        facts = kept.facts(place) or {}
        if "seconds" not in facts:
            sample = self.first()
            facts["seconds"] = [time(sample) for time in timings]
            kept.note(place, facts)
        return [float(seconds) for seconds in facts["seconds"]]


def gathered(
    source: ClipSource,
    count: int,
    num_frames: int,
    makers: Sequence[Maker],
    read: Callable[[Sample, Images], Numbers],
    read_truth: Callable[[Sample], Numbers],
    measured: Mapping[str, object],
    folder: Path | None,
    videos: Path | None = None,
) -> Gathered:
    """Measure every maker on the same samples; what is kept in the folder is not made again.

    Args:
        source: of clips.
        count: most samples.
        num_frames: to continue.
        makers: of videos.
        read: what is read of a made video.
        read_truth: what is read of a sample's real one.
        measured: JSON values that decide what is read.
        folder: where it is kept; None for as long as the result lives.
        videos: folder where videos are kept too, as mp4, in a folder of each maker's name; None for nowhere.

    Raises:
        InvalidConfig: there is no maker, or no clip can be continued.
    """
    if not makers:
        raise InvalidConfig(f"protocol {measured['protocol']} needs at least one model")
    held = ExitStack()
    if folder is None:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
    of = {"source": source.description(), "frames": num_frames, **measured}
    hashes: dict[int, str] = {}
    truth = KeptNumbers(folder, TRUTH, of)
    kept = {
        maker.name: KeptNumbers(folder, maker.name, {**of, "made by": described(maker.system, hashes)})
        for maker in makers
    }
    places: list[int] = []
    keys: list[str] = []
    with tqdm(total=count * len(makers), desc=str(measured["protocol"]), unit="video", leave=False) as bar:
        for place in range(len(source)):
            if len(places) == count:
                break
            seed = len(places)
            known = truth.facts(place)
            if known is not None and known["seed"] is None:
                continue
            if known is not None and known["seed"] != seed:
                known = None
            missing = [maker for maker in makers if not _is_kept(kept[maker.name], place, seed, videos, maker.name)]
            if known is None or missing:
                sample = sample_at(source, place, num_frames, seed)
                if sample is None:
                    truth.put(place, {}, {"key": "", "seed": None})
                    continue
                facts = {"key": sample.key, "seed": seed}
                if known is None:
                    truth.put(place, read_truth(sample), facts)
                    known = facts
                for maker in missing:
                    video = maker.make(sample)
                    if videos is not None:
                        write_video(_video(videos, maker.name, place), [video])
                    kept[maker.name].put(place, read(sample, video), facts)
                del sample
            places.append(place)
            keys.append(str(known["key"]))
            bar.update(len(makers))
    if not places:
        raise too_short(source, num_frames)

    def first() -> Sample:
        sample = sample_at(source, places[0], num_frames, 0)
        assert sample is not None
        return sample

    made = {name: numbers.of(places) for name, numbers in kept.items()}
    return Gathered(truth.of(places), made, keys, first, held)


def described(system: object, hashes: dict[int, str]) -> dict[str, object]:
    """What decides what a system makes, as JSON values: its weights, its settings and its own fields."""

    def hashed(network: nn.Module) -> str:
        if id(network) not in hashes:
            hashes[id(network)] = weights_hash(network)
        return hashes[id(network)]

    said: dict[str, object] = {"kind": type(system).__name__}
    for one in dataclasses.fields(system) if dataclasses.is_dataclass(system) else ():
        value = getattr(system, one.name)
        if isinstance(value, LongDWMPipeline):
            networks = {name: part for name, part in value.components.items() if isinstance(part, nn.Module)}
            said["weights"] = {name: hashed(network) for name, network in networks.items()}
            said["settings"] = value.settings.to_json()
            # As results that were kept earlier name them.
            said["told warps"] = [
                f"{name}Model" if type(model) is Denoiser else f"_Unguided{name}"
                for name, model in (("Coarse", value.coarse_model), ("Fine", value.fine_model))
            ]
        elif isinstance(value, nn.Module):
            said[one.name] = hashed(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            said[one.name] = dataclasses.asdict(value)
        elif isinstance(value, str | int | float | bool | None):
            said[one.name] = value
        else:
            said[one.name] = type(value).__name__
    return said


def _is_kept(kept: KeptNumbers, place: int, seed: int, videos: Path | None, name: str) -> bool:
    facts = kept.facts(place)
    has_video = videos is None or _video(videos, name, place).is_file()
    return facts is not None and facts["seed"] == seed and has_video


def _video(videos: Path, name: str, place: int) -> Path:
    return videos / name / f"{place:06d}.mp4"
