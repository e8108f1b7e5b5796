"""The vehicle that is watched: where it is, and what is seen without it."""

from dataclasses import replace

import numpy as np

from longdwm_env.evaluation.worlds.objects import Persistence, best_match
from longdwm_env.evaluation.worlds.vehicle_ahead import MOMENTS, watched, without


def test_taking_a_vehicle_away_changes_the_place_where_it_is(following) -> None:
    vehicle = watched(following)
    assert vehicle is not None
    absent = without(following, vehicle.actor, MOMENTS)
    for picture, without_it, box in zip(following.frames[MOMENTS], absent, vehicle.boxes_px[0], strict=True):
        changed = np.abs(picture.astype(int) - without_it).max(axis=2) > 8
        rows, columns = np.nonzero(changed)
        assert len(rows), "it was seen"
        left, top, right, bottom = box
        middle = (columns.mean(), rows.mean())
        assert left - 1 <= middle[0] <= right + 1
        assert top - 1 <= middle[1] <= bottom + 2, "its shadow lies below"


def test_the_finder_finds_the_car_and_not_its_absence(following) -> None:
    vehicle = watched(following)
    boxes, start = vehicle.boxes_px, following.frames[0]
    absent = without(following, vehicle.actor, MOMENTS)
    painted = following.frames[MOMENTS].copy()
    for picture, box in zip(painted, boxes[0], strict=True):
        left, top, right, bottom = np.round(box).astype(int)
        picture[top - 1 : bottom + 2, left - 1 : right + 1] = picture[bottom + 2, left]
    for second, frame in enumerate(MOMENTS):
        if second == 0:
            continue
        there = best_match(start, boxes[0, 0], following.frames[frame], boxes[:, second])
        gone = best_match(start, boxes[0, 0], absent[second], boxes[:, second])
        over = best_match(start, boxes[0, 0], painted[second], boxes[:, second])
        assert there.score > max(gone.score, over.score) + 0.05
    exact = best_match(start, boxes[0, 0], start, boxes[:, 0])
    assert exact.score > 0.99
    assert exact.scale == 1.0


def test_persistence_tells_worlds_apart(following) -> None:
    vehicle = watched(following)
    absent = without(following, vehicle.actor, MOMENTS)
    found = Persistence()
    emptied = following.frames.copy()
    emptied[MOMENTS[1:]] = absent[1:]
    for _ in range(4):
        found.add(following, {"emptied": replace(following, frames=emptied)}, vehicle.boxes_px, absent)
    rows = dict(found.table("emptied", {}).rows)
    always = found.table("emptied", {}).columns.index("there at every second") - 1
    assert rows["simulator"][always].value == 1
    assert rows["emptied"][always].value == 0
    assert any("Bar:" in note and "NO" in note for note in found.table("emptied", {}).notes)
    assert any("Bar:" in note and "yes" in note for note in found.table("simulator", {}).notes)
    assert len(found.scenes_table().rows) == 4 * 3
