"""Captions of a nuScenes dataset: one file, which ``longdwm data annotate`` or a person wrote.

``captions.json`` maps keys to prompts. A key is a scene's name, a start's (``scene-0061@7.500``, seconds after the
scene's first front camera frame; what ``annotate`` writes), or a sample's token. A start's caption holds from its
moment until the next one's, a scene's from the beginning until the first start's.
"""

import logging
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path

from longdwm_env.errors import InvalidScene
from longdwm_env.scenes.nuscenes.schema_tables import read_table

CAPTIONS_FILE = "captions.json"
"""Optional, in the version folder or the dataroot."""

_SLACK_S = 1e-3
"""Keys give milliseconds."""

log = logging.getLogger(__name__)


class Captions:
    """What is said of scenes, from when on.

    Args:
        captions: key to prompt; keys that name no start are taken for names and tokens.
    """

    def __init__(self, captions: Mapping[str, str]) -> None:
        self._named = dict(captions)
        self._starts: dict[str, list[tuple[float, str]]] = {}
        for key, text in captions.items():
            name, at, seconds = key.rpartition("@")
            if at and _is_number(seconds):
                self._starts.setdefault(name, []).append((float(seconds), text))
        for starts in self._starts.values():
            starts.sort()

    def __len__(self) -> int:
        return len(self._named)

    def at(self, name: str, seconds: float, token: str = "") -> str | None:
        """What is said of a scene at a moment; None where nothing is."""
        if token in self._named:
            return self._named[token]
        starts = self._starts.get(name, [])
        before = bisect_right([start for start, _ in starts], seconds + _SLACK_S)
        if before:
            return starts[before - 1][1]
        # Before the first start: what is said of the scene, else what is said of it first.
        return self._named.get(name, starts[0][1] if starts else None)

    def unknown(self, names: Collection[str], tokens: Collection[str]) -> list[str]:
        """Keys that belong to none of these scenes and samples."""
        known = {*names, *tokens}
        return [key for key in self._named if key not in known and key.rpartition("@")[0] not in known]


def captions_of(folders: Sequence[Path], names: Collection[str], tokens: Collection[str]) -> Captions:
    """The captions of a dataset, from the first of these folders that has a file of them; none without.

    Args:
        folders: version folder and dataroot.
        names: of the dataset's scenes.
        tokens: of its samples.

    Raises:
        InvalidScene: the file is damaged, or holds captions of other scenes alone.
    """
    for path in (folder / CAPTIONS_FILE for folder in folders):
        if not path.is_file():
            continue
        found = read_table(path, dict)
        if not all(isinstance(text, str) for text in found.values()):
            raise InvalidScene(f"{path} must map scene names, starts or sample tokens to text")
        captions = Captions(found)
        strange = captions.unknown(names, tokens)
        if found and len(strange) == len(found):
            raise InvalidScene(
                f"{path} holds {len(found)} captions, and none is of a scene of this dataset: it knows "
                f"{', '.join(islice(strange, 3))}, the dataset has {', '.join(islice(sorted(names), 3))}. Put this "
                "dataset's file there (longdwm data annotate DATAROOT), or take it away: then the scenes' "
                "descriptions are used"
            )
        if strange:
            log.warning("%s: %d of %d captions are of other scenes: %s", path, len(strange), len(found), strange[:3])
        return captions
    return Captions({})


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
