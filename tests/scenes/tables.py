"""The tables of an exported dataset, changed on purpose."""

import json

VERSION = "v1.0-simulator"


def edit(dataset, table, change) -> None:
    path = dataset / VERSION / f"{table}.json"
    records = json.loads(path.read_text())
    change(records)
    path.write_text(json.dumps(records))
