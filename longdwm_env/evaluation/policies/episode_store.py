"""The folder of an evaluation: what was asked, and one file per finished episode, each written whole.

A run that was killed goes on where it stopped: an episode whose file exists is never driven again, one without is.
What was asked is written with the first episode, so that a run that could not begin leaves nothing behind.
"""

import json
from pathlib import Path
from typing import NoReturn

from longdwm_env.errors import InvalidConfig, LongDWMError
from longdwm_env.evaluation.policies.evaluation_config import EpisodeResult, EvaluationConfig, Job, Record, all_jobs
from longdwm_env.io.files import atomic_write_bytes, atomic_write_json, check_output_file, check_output_folder
from longdwm_env.types import JsonObject

FORMAT = "longdwm-evaluation"
VERSION = 1

SHAPE: dict[str, type | tuple[type, ...]] = {
    "policy": str,
    "episode": int,
    "slot": int,
    "scene": (str, type(None)),
    "seed": (int, type(None)),
    "status": str,
    "ended": str,
    "failure": str,
    "numbers": dict,
    "unavailable": dict,
    "path": list,
    "speeds_mps": list,
    "act_s": (int, float, type(None)),
    "wall_s": (int, float),
}
"""What every record has, and of which kind."""

LARGEST = 1e300
"""Numbers beyond this are not taken from a record: their sums could not be written."""


class NotKept(LongDWMError, OSError):
    """An episode, or the report, could not be written; what was written before is kept."""


class EvaluationFolder:
    """Where an evaluation's results are.

    Args:
        path: the folder; made with the first episode where it does not exist.
        config: what is evaluated.
        hashes: of the files behind world, policies and scenes, so that a run is not gone on with others.

    Raises:
        InvalidConfig: the folder holds another evaluation (the message says what differs), or cannot be written to.
    """

    def __init__(self, path: Path, config: EvaluationConfig, hashes: dict[str, str]) -> None:
        for name in ("episodes", "videos"):
            check_output_folder(path / name)
        for name in ("evaluation.json", "episodes.csv", "summary.json", "report.html"):
            check_output_file(path / name)
        self.path, self.config = path.absolute(), config
        self._manifest = self.path / "evaluation.json"
        self._asked = {"format": FORMAT, "version": VERSION, "config": json.loads(config.to_json()), "hashes": hashes}
        # What was asked when nothing came of it binds no later run.
        self._begun = any((self.path / "episodes").glob("*.json"))
        if self._begun:
            self._check(self._manifest, self._asked)
            self.refuse_mixed()

    def _check(self, manifest: Path, wanted: JsonObject) -> None:
        try:
            found = json.loads(manifest.read_text())
            theirs = EvaluationConfig.from_json(json.dumps(found["config"]))
            hashes = dict(found["hashes"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidConfig(f"{manifest} is not the record of an evaluation: {error}") from error
        differences = self.config.differences(theirs)
        changed = [name for name in {*hashes, *wanted["hashes"]} if hashes.get(name) != wanted["hashes"].get(name)]
        differences += [f"the files of {name} have changed" for name in sorted(changed)]
        if differences:
            raise InvalidConfig(
                f"{manifest.parent} holds another evaluation ({'; '.join(differences)}); "
                "give another folder, or the same options"
            )

    def mark_mixed(self, changed: list[str]) -> None:
        """Remember that some files changed while they were in use: nothing tells which episodes saw which of them."""
        atomic_write_json(self._manifest, {**self._asked, "mixed": changed})

    def refuse_mixed(self) -> None:
        """No report is made of episodes that were not all driven with the same files.

        Raises:
            InvalidConfig: some changed under a run into this folder.
        """
        mixed = json.loads(self._manifest.read_text()).get("mixed")
        if mixed:
            raise InvalidConfig(
                f"the files of {', '.join(mixed)} changed while episodes were driven with them, and nothing tells "
                f"which of those in {self.path} saw which; give another folder, or delete this one"
            )

    def missing(self) -> list[Job]:
        """The episodes that have not been driven."""
        return [job for job in all_jobs(self.config) if not self._episode(job).exists()]

    def write(self, job: Job, result: EpisodeResult) -> None:
        """Keep an episode. The record comes last: where it is, the video is too.

        Raises:
            NotKept: it cannot be written.
        """
        record = dict(result.record)
        record["video"] = None
        try:
            if not self._begun:
                atomic_write_json(self._manifest, self._asked)
                self._begun = True
            if result.video is not None:
                record["video"] = video_name(job)
                atomic_write_bytes(self.path / record["video"], result.video)
            atomic_write_json(self._episode(job), record)
        except OSError as error:
            raise NotKept(
                f"episode {job.episode} of {job.policy} cannot be written to {self.path}: {error.strerror or error}. "
                "Episodes that were finished before are kept: the same command goes on with the others"
            ) from error

    def records(self) -> list[Record]:
        """The records of all episodes that have been driven, in the order of the jobs.

        Raises:
            InvalidConfig: a record cannot be read; the message names it.
        """
        found = []
        for job in all_jobs(self.config):
            path = self._episode(job)
            if path.exists():
                try:
                    found.append(_checked(json.loads(path.read_text(), parse_constant=_refused), job))
                except (ValueError, RecursionError, OSError) as error:
                    raise InvalidConfig(
                        f"{path} is damaged ({error}); delete it, and the episode is driven again"
                    ) from error
        return found

    def _episode(self, job: Job) -> Path:
        return self.path / "episodes" / f"{job.key}.json"


def video_name(job: Job) -> str:
    """Where an episode's video lies within the folder."""
    return f"videos/{job.key}.mp4"


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _checked(record: object, job: Job) -> Record:
    if not isinstance(record, dict):
        raise ValueError("it is no JSON object")
    wrong = [name for name, kind in SHAPE.items() if name not in record or not isinstance(record[name], kind)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is missing or of another kind")
    if (record["policy"], record["episode"], record["slot"]) != (job.policy, job.episode, job.slot):
        raise ValueError(f"it is that of episode {record['episode']} of {record['policy']!r}")
    numbers, path = [*record["numbers"].values(), record["wall_s"], *record["speeds_mps"]], record["path"]
    numbers += [] if record["act_s"] is None else [record["act_s"]]
    if not all(_is_number(value) for value in numbers) or not all(
        type(v) is str for v in record["unavailable"].values()
    ):
        raise ValueError("its numbers are not numbers, or the reasons why there are none not texts")
    if not all(isinstance(pose, list) and len(pose) == 3 and all(map(_is_number, pose)) for pose in path):
        raise ValueError("its path is no list of poses")
    if record["status"] == "done" and not (
        path and "duration_s" in record["numbers"] and "return" in record["numbers"]
    ):
        raise ValueError("it says that the episode was driven, but not how")
    if record.get("video") not in (None, video_name(job)):
        raise ValueError("its video is that of another episode")
    return record


def _is_number(value: object) -> bool:
    # By comparing, since a whole number may be too long to be looked at as a float; NaN is not less than anything.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
