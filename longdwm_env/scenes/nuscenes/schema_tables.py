"""The nuScenes tables as files: where they are, what their records hold, and what is wrong with them."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from longdwm_env.errors import InvalidScene
from longdwm_env.io.names import inside, is_file
from longdwm_env.types import JsonObject

Record = JsonObject
Tables = dict[str, list[Record]]

_NUMBER, _TEXT, _LIST, _FLAG = (int, float), (str,), (list,), (bool,)

FIELDS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "attribute": {"name": _TEXT},
    "calibrated_sensor": {"sensor_token": _TEXT, "translation": _LIST, "rotation": _LIST, "camera_intrinsic": _LIST},
    "category": {"name": _TEXT},
    "ego_pose": {"timestamp": _NUMBER, "translation": _LIST, "rotation": _LIST},
    "instance": {"category_token": _TEXT},
    "log": {"location": _TEXT},
    "map": {"filename": _TEXT, "log_tokens": _LIST},
    "sample": {"timestamp": _NUMBER, "prev": _TEXT, "next": _TEXT, "scene_token": _TEXT},
    "sample_annotation": {
        "sample_token": _TEXT,
        "instance_token": _TEXT,
        "translation": _LIST,
        "size": _LIST,
        "rotation": _LIST,
        "prev": _TEXT,
        "next": _TEXT,
    },
    "sample_data": {
        "sample_token": _TEXT,
        "ego_pose_token": _TEXT,
        "calibrated_sensor_token": _TEXT,
        "timestamp": _NUMBER,
        "is_key_frame": _FLAG,
        "height": _NUMBER,
        "width": _NUMBER,
        "filename": _TEXT,
        "prev": _TEXT,
        "next": _TEXT,
    },
    "scene": {
        "log_token": _TEXT,
        "first_sample_token": _TEXT,
        "last_sample_token": _TEXT,
        "name": _TEXT,
        "description": _TEXT,
    },
    "sensor": {"channel": _TEXT, "modality": _TEXT},
    "visibility": {"level": _TEXT},
}
"""Fields that are read, of the thirteen tables of https://www.nuscenes.org/nuscenes#data-format, and their types."""

TABLES = tuple(FIELDS)

REFERENCES: Mapping[str, Mapping[str, str]] = {
    "calibrated_sensor": {"sensor_token": "sensor"},
    "instance": {"category_token": "category"},
    "sample": {"scene_token": "scene", "prev": "sample", "next": "sample"},
    "sample_annotation": {
        "sample_token": "sample",
        "instance_token": "instance",
        "prev": "sample_annotation",
        "next": "sample_annotation",
    },
    "sample_data": {
        "sample_token": "sample",
        "ego_pose_token": "ego_pose",
        "calibrated_sensor_token": "calibrated_sensor",
        "prev": "sample_data",
        "next": "sample_data",
    },
    "scene": {"log_token": "log", "first_sample_token": "sample", "last_sample_token": "sample"},
}
"""Fields that name records of another table. An empty ``prev`` or ``next`` ends a chain."""

# A folder of photographs may well contain a log.json or a map.json; these names together are nuScenes' own.
_TELLING = ("sample_data", "sample", "scene", "calibrated_sensor", "ego_pose")


def holds_tables(folder: Path) -> bool:
    """Whether a folder is a version folder, perhaps with some tables missing."""
    return sum((folder / f"{table}.json").is_file() for table in _TELLING) >= 2


def version_folders(dataroot: Path) -> list[Path]:
    """The version folders directly in a dataroot, whatever they are called."""
    return sorted(folder for folder in dataroot.iterdir() if folder.is_dir() and holds_tables(folder))


def is_nuscenes(path: Path) -> bool:
    """Whether a folder is a nuScenes dataroot or one of its version folders."""
    try:
        return holds_tables(path) or bool(version_folders(path))
    except OSError as error:
        raise InvalidScene(f"{path} cannot be listed: {error.strerror or error}") from error


def find_version(path: Path) -> tuple[Path, str]:
    """(dataroot, version) of a dataroot with one version folder, or of a version folder itself.

    Raises:
        InvalidScene: there is none, or there are several to choose from.
    """
    if holds_tables(path):
        path = path.resolve()
        return path.parent, path.name
    folders = version_folders(path)
    if not folders:
        raise InvalidScene(f"{path} has no folder of nuScenes tables such as v1.0-mini")
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders)
        raise InvalidScene(f"{path} has several versions ({names}); give the one to read, such as {folders[0]}")
    return path, folders[0].name


def read_table(path: Path, kind: type) -> Any:
    """The value of a JSON file in UTF-8, which must be a ``kind`` (list or dict).

    Raises:
        InvalidScene: the file is missing or not valid JSON, or holds something else; or it begins with a byte-order
            mark, which nuscenes-devkit and others do not read.
    """
    try:
        data = path.read_bytes()
        if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
            raise InvalidScene(f"{path} begins with a byte-order mark, as editors on Windows add it; save it as UTF-8")
        value = json.loads(data)
    except InvalidScene:
        raise
    except OSError as error:
        raise InvalidScene(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidScene(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, kind):
        raise InvalidScene(f"{path} must hold a JSON {'array' if kind is list else 'object'}")
    return value


def load_tables(folder: Path, problems: list[str]) -> Tables:
    """All tables that can be read, records that can be used; what cannot is added to ``problems``."""
    tables: Tables = {}
    for table in TABLES:
        path = folder / f"{table}.json"
        if not path.is_file():
            problems.append(f"{path}: the table is missing")
            continue
        try:
            records = read_table(path, list)
        except InvalidScene as error:
            problems.append(str(error))
            continue
        tables[table] = []
        tokens: set[str] = set()
        for index, record in enumerate(records):
            problem = _record_problem(table, record)
            if problem is None and record["token"] in tokens:
                problem = f"the token {record['token']!r} was used before"
            if problem is None:
                tokens.add(record["token"])
                tables[table].append(record)
            else:
                problems.append(f"{path}: record {index}: {problem}")
    return tables


def _record_problem(table: str, record: object) -> str | None:
    if not isinstance(record, dict) or not isinstance(record.get("token"), str):
        return "is not an object with a token"
    for field, types in FIELDS[table].items():
        if field not in record:
            return f"({record['token']}) lacks {field!r}"
        value = record[field]
        if not isinstance(value, types) or (isinstance(value, bool) and types is _NUMBER):
            return f"({record['token']}) has {field} = {value!r:.60}, expected {' or '.join(t.__name__ for t in types)}"
        number: Any = record[field]
        if types is _NUMBER and not abs(number) < 2**63:
            return f"({record['token']}) has {field} = {value!r:.60}, which is no sensible number"
    return None


def reference_problems(folder: Path, tables: Tables) -> Iterator[str]:
    """Tokens that name no record."""
    known = {table: {record["token"] for record in records} for table, records in tables.items()}
    for table, references in REFERENCES.items():
        for record in tables.get(table, ()):
            for field, target in references.items():
                value = record[field]
                for token in value if isinstance(value, list) else [value]:
                    ends_chain = token == "" and field in ("prev", "next")
                    if target in known and not ends_chain and token not in known[target]:
                        yield f"{folder / table}.json: {record['token']} has {field} {token!r}, not in {target}.json"


def table_problems(dataroot: Path, folder: Path) -> Iterator[str]:
    """Everything that keeps nuscenes-devkit from opening a version folder, each naming its file."""
    problems: list[str] = []
    tables = load_tables(folder, problems)
    yield from problems
    yield from reference_problems(folder, tables)
    if "map" in tables and not tables["map"]:
        yield f"{folder / 'map.json'}: no map; the devkit needs one for every log"
    mapped = {token for record in tables.get("map", ()) for token in record["log_tokens"] if isinstance(token, str)}
    for log in tables.get("log", ()):
        if log["token"] not in mapped:
            yield f"{folder / 'map.json'}: no map for the log {log['token']}"
    for record in tables.get("map", ()):
        try:
            path = inside(dataroot, record["filename"])
        except InvalidScene as error:
            yield f"{folder / 'map.json'}: {record['token']}: {error}"
            continue
        if not is_file(path):
            yield f"{path}: the map mask is missing"
    names = Counter(record["name"] for record in tables.get("scene", ()))
    for name in (name for name, count in names.items() if count > 1):
        yield f"{folder / 'scene.json'}: several scenes are called {name!r}; names must differ"
