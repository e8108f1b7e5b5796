"""The folder of an evaluation: what was asked, and one file per finished episode, each written whole.

A run that was killed goes on where it stopped: an episode whose file exists is never driven again, one without is.
"""

import json
from pathlib import Path
from typing import Any

from longdwm_env.agents.evaluation.config import EpisodeResult, EvaluationConfig, Job, all_jobs
from longdwm_env.errors import InvalidConfig
from longdwm_env.files import atomic_write_bytes, atomic_write_json

FORMAT = "longdwm-evaluation"
VERSION = 1


class EvaluationFolder:
    """Where an evaluation's results are.

    Args:
        path: the folder; made where it does not exist.
        config: what is evaluated.
        hashes: of the world's and policies' files, so that a run is not gone on with other weights.

    Raises:
        InvalidConfig: the folder holds another evaluation; the message says what differs.
    """

    def __init__(self, path: Path, config: EvaluationConfig, hashes: dict[str, str]) -> None:
        self.path, self.config = path, config
        manifest = path / "evaluation.json"
        wanted = {"format": FORMAT, "version": VERSION, "config": json.loads(config.to_json()), "hashes": hashes}
        if manifest.exists():
            self._check(manifest, wanted)
        else:
            atomic_write_json(manifest, wanted)

    def _check(self, manifest: Path, wanted: dict[str, Any]) -> None:
        try:
            found = json.loads(manifest.read_text())
            theirs = EvaluationConfig.from_json(json.dumps(found["config"]))
            hashes = dict(found["hashes"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidConfig(f"{manifest} is not the record of an evaluation: {error}") from error
        differences = self.config.differences(theirs)
        changed = [name for name in {*hashes, *wanted["hashes"]} if hashes.get(name) != wanted["hashes"].get(name)]
        differences += [f"the files of {name} have changed" for name in sorted(changed)]
        if differences:
            raise InvalidConfig(
                f"{manifest.parent} holds another evaluation ({'; '.join(differences)}); "
                "give another folder, or the same options"
            )

    def missing(self) -> list[Job]:
        """The episodes that have not been driven."""
        return [job for job in all_jobs(self.config) if not self._episode(job).exists()]

    def write(self, job: Job, result: EpisodeResult) -> None:
        """Keep an episode. The record comes last: where it is, the video is too."""
        record = dict(result.record)
        record["video"] = None
        if result.video is not None:
            record["video"] = f"videos/{job.key}.mp4"
            atomic_write_bytes(self.path / record["video"], result.video)
        atomic_write_json(self._episode(job), record)

    def records(self) -> list[dict[str, Any]]:
        """The records of all episodes that have been driven, in the order of the jobs.

        Raises:
            InvalidConfig: a record cannot be read; the message names it.
        """
        found = []
        for job in all_jobs(self.config):
            path = self._episode(job)
            if path.exists():
                try:
                    found.append(json.loads(path.read_text()))
                except ValueError as error:
                    raise InvalidConfig(
                        f"{path} is damaged ({error}); delete it, and the episode is driven again"
                    ) from error
        return found

    def _episode(self, job: Job) -> Path:
        return self.path / "episodes" / f"{job.key}.json"
