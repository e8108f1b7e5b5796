"""The folder of a study: footage and latents that all share, a workspace for each part and seed, scores.

source/                the pipeline that codec and text encoder come from, as it was when the study began
footage/               links to the clips that are trained on, fixed when the study began
latents-sweep/         links to their latents
latents-ground/ ...    latents of the same clips for models that are given other warps, encoded here
parts/NAME-SEED/       a workspace for each transformer that is trained
test/                  drives of the test seeds
scores/                what was measured
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from longdwm_env.episodes.kept_seeds import FIRST_TEST_SEED
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.paper.protocols import LONG_FRAMES
from longdwm_env.evaluation.studies.variants import PARTS, Views
from longdwm_env.io.files import atomic_path, atomic_write_json
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.saved_pipelines import saved_pipeline
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.latents import EMPTY_TEXT_FILE, LatentChoices, LatentStore, weights_hash
from longdwm_env.training.data.footage import CLIPS_PER_SHARD, Footage, record_footage
from longdwm_env.training.data.shards import ShardFolder
from longdwm_env.training.data.simulator_footage import SimulatorClips
from longdwm_env.training.workspace import Workspace
from longdwm_env.types import JsonObject

TEST_FRAMES = -(-(max(LONG_FRAMES) - 1) // 12) * 12 + 1
"""Frames of a test drive: the longest video, in whole seconds, and the given frame."""


@dataclass(frozen=True)
class StudyOptions:
    """What decides a study's results; a study's folder belongs to one set of them.

    Attributes:
        minutes: processor minutes that a system's models are trained for, all together.
        clips: of the source's footage to train on; 0 for all.
        steps: to try everything out: this many optimizer steps of each model; 0 for as many as ``minutes`` allow.
    """

    minutes: float = 20.0
    clips: int = 0
    scenes: int = 60
    first_seed: int = FIRST_TEST_SEED
    steps: int = 0

    def __post_init__(self) -> None:
        if self.minutes <= 0 or self.clips < 0 or self.scenes < 2 or self.steps < 0:
            raise InvalidConfig(f"minutes above 0, at least two scenes, clips and steps not below 0; got {self}")


@dataclass(frozen=True)
class StudyFolder:
    """Paths of a study, and how they are filled."""

    root: Path

    @property
    def source(self) -> Path:
        """The pipeline that codec, text encoder and settings come from."""
        return self.root / "source"

    @property
    def scorer(self) -> Path:
        """The source's own scorer, where it had one."""
        return self.root / "scorer"

    @property
    def footage(self) -> Path:
        """The clips that are trained on."""
        return self.root / "footage"

    def latents(self, views: Views) -> Path:
        """Latents that hold what models of these views are given; those without views share the ground's."""
        return self.root / f"latents-{'ground' if views == 'none' else views}"

    def part(self, name: str, seed: int) -> Workspace:
        """The workspace of a part."""
        return Workspace(self.root / "parts" / f"{name}-{seed}", self.latents(PARTS[name].views))

    @property
    def test(self) -> Path:
        """Recorded test drives."""
        return self.root / "test"

    def scores(self, kind: str, system: str, seed: int | None) -> Path:
        """Scores of a system."""
        return self.root / "scores" / f"{kind}-{system}{'' if seed is None else f'-{seed}'}.safetensors"

    @property
    def options(self) -> StudyOptions:
        """Of this folder."""
        return StudyOptions(**json.loads((self.root / "study.json").read_text())["options"])

    def begin(self, source: Workspace, options: StudyOptions) -> None:
        """Link footage and latents and copy the pipeline, unless that has been done.

        Args:
            source: a workspace with a trained codec, footage and latents; it is only read, and may be trained on
                meanwhile.
            options: of the study.

        Raises:
            InvalidConfig: the folder is of other options, or the source lacks something.
        """
        path = self.root / "study.json"
        if path.is_file():
            found = json.loads(path.read_text())["options"]
            if found != asdict(options):
                raise InvalidConfig(f"{self.root} is a study with {found}, not {asdict(options)}; name another folder")
            return
        pipeline = source.load()
        _check(pipeline.settings, source)
        store = LatentStore(source.latents)
        store.check_codec(pipeline)
        shards = self._shards(source, options.clips)
        _link(source.footage, self.footage, Footage(source.footage).description(), shards)
        _link(source.latents, self.latents("sweep"), store.made_from, shards)
        with atomic_path(self.latents("sweep") / EMPTY_TEXT_FILE) as temporary:
            shutil.copyfile(source.latents / EMPTY_TEXT_FILE, temporary)
        save_whole(pipeline, self.source)
        if source.scorer.is_dir():
            shutil.copytree(source.scorer, self.scorer, dirs_exist_ok=True)
        facts = {
            "model": weights_hash(pipeline.coarse, pipeline.fine),
            "codec": store.made_from["codec"],
            "shards": shards,
        }
        facts |= {
            "footage": store.made_from["source"],
            "recipe": json.loads((source.root / "workspace.json").read_text()),
        }
        atomic_write_json(path, {"options": asdict(options), **facts})

    @property
    def facts(self) -> JsonObject:
        """What the study was made from."""
        found: JsonObject = json.loads((self.root / "study.json").read_text())
        return found

    def pipeline(self) -> LongDWMPipeline:
        """The source's pipeline."""
        pipeline = saved_pipeline(self.source)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def settings(self, views: Views) -> LongDWMSettings:
        """The source's settings, with these views."""
        own = LongDWMPipeline.load_config(str(self.source))["settings"]
        settings = replace(LongDWMSettings.from_json(own), road_layout=False, held_ends=False)
        if views != "sweep":
            settings = replace(settings, matched_sweep=None, coarse_sweep=())
        return replace(settings, warp_variant="plane") if views == "plane" else settings

    def encode(self, views: Views, into: Path | None = None, clips: int | None = None) -> None:
        """Encode the footage for models of these views; what is linked is there already.

        Args:
            views: which.
            into: folder of the latents; None for the study's own.
            clips: the first so many alone; None for all.
        """
        if views == "sweep" and into is None:
            return
        pipeline, footage = self.pipeline(), Footage(self.footage)
        footage.entries = footage.entries[:clips]
        pipeline.register_to_config(settings=self.settings(views).to_json())
        choices = LatentChoices(**LatentStore(self.latents("sweep")).made_from["choices"])
        encode_latents(footage, into or self.latents(views), pipeline, choices)

    def record_test(self, workers: int = 1) -> Footage:
        """Record the drives of the simulator's test seeds, as far as they are missing."""
        options, size = self.options, self.settings("none").image_size
        # Twice as many: a drive that ends in a collision may be too short.
        count = 2 * options.scenes
        source = SimulatorClips(count, size, TEST_FRAMES, first_seed=options.first_seed, allow_test_seeds=True)
        return record_footage(source, self.test, workers)

    @staticmethod
    def _shards(source: Workspace, clips: int) -> list[str]:
        folders = (source.footage, source.latents)
        names = [{path.name for path in folder.glob("shard-*.safetensors")} for folder in folders]
        both = sorted(names[0] & names[1])
        return both[: -(-clips // CLIPS_PER_SHARD)] if clips else both


def save_whole(pipeline: LongDWMPipeline, target: Path) -> None:
    """Save a pipeline whole or not at all, so that an interrupted one is made again."""
    partial = target.with_name(f".{target.name}-partial")
    shutil.rmtree(partial, ignore_errors=True)
    pipeline.save_pretrained(str(partial), safe_serialization=True)
    partial.rename(target)


def _check(settings: LongDWMSettings, source: Workspace) -> None:
    if settings.warp_variant != "ground" or settings.matched_sweep is None:
        raise InvalidConfig(
            f"a study compares with the views of a model that is given ground warps and a matched plane sweep, as mini "
            f"is; {source.pipeline} has {settings}"
        )
    for folder, made in ((source.footage, "footage"), (source.latents, "latents")):
        if not (folder / "manifest.json").is_file():
            raise InvalidConfig(f"{source.root} has no {made}; `longdwm train {made}` makes it")


def _link(source: Path, target: Path, made_from: Mapping[str, object], shards: list[str]) -> None:
    ShardFolder(target, made_from)
    for name in shards:
        link = target / name
        if not link.is_symlink():
            link.symlink_to((source / name).resolve())
