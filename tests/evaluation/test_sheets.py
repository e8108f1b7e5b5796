"""Contact sheets of drives: which scenes, which instants, which boxes, and on how many pages."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from longdwm_env.evaluation.sheets import BOX_COLOUR, sheet_rows, spread, write_sheets


def test_scenes_are_shown_from_all_over_the_list():
    seeds = list(range(100, 110))
    assert spread(seeds, 3) == [100, 103, 106]
    assert spread(seeds, 20) == seeds
    assert spread(seeds, 0) == spread([], 3) == []


def test_a_row_shows_the_drive_at_the_instants_asked_for(drive):
    other = replace(drive, frames=255 - drive.frames)
    rows = sheet_rows({"truth": drive, "warp": other}, (0, 0.5, 9))
    assert [row.title.split(":")[0] for row in rows] == [f"{drive.seed} truth", f"{drive.seed} warp"]
    for row, shown in zip(rows, (drive, other), strict=True):
        np.testing.assert_array_equal(row.frames, shown.frames[[0, 6, -1]])
        assert [caption.split(",")[0] for caption in row.captions] == ["0 s", "0.5 s", "9 s"]


def test_boxes_are_drawn_on_the_row_they_belong_to_and_the_drive_stays_as_it_was(drive):
    before = drive.frames.copy()
    boxes = np.array([[20.0, 10.0, 30.0, 20.0], [40.0, 10.0, 50.0, 20.0]])
    marked, plain = sheet_rows({"simulator": drive, "warp": drive}, (0, 1), {"simulator": boxes})
    np.testing.assert_array_equal(drive.frames, before)
    np.testing.assert_array_equal(plain.frames, drive.frames[[0, 12]])
    for frame, (left, top, right, bottom) in zip(marked.frames, boxes.astype(int), strict=True):
        for y, x in ((top - 2, left - 2), (bottom + 2, right + 2)):
            assert tuple(frame[y, x]) == BOX_COLOUR
    with pytest.raises(ValueError, match="zip"):
        sheet_rows({"simulator": drive}, (0, 1, 2), {"simulator": boxes})


def test_rows_fill_numbered_pages_whose_names_are_file_names(drive, tmp_path):
    rows = sheet_rows({str(number): drive for number in range(5)}, (0, 1))
    paths = write_sheets(rows, tmp_path, "last-owner/model/", 2)
    assert [path.name for path in paths] == [f"last-owner-model-sheet-{page}.png" for page in (1, 2, 3)]
    heights = [cv2.imread(str(path)).shape[0] for path in paths]
    assert heights[0] == heights[1] > heights[2]
    assert write_sheets([], tmp_path, "nothing", 2) == []
