"""Contact sheets of drives: which scenes, which instants, which boxes, and on how many pages."""

import cv2
import numpy as np
import pytest

from longdwm_env.evaluation.sheets import BOX_COLOUR, sheet_rows, write_sheets


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
