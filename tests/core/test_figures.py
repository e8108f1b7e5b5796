import cv2
import numpy as np

from longdwm_env.io.figures import DrivenPath, SheetRow, contact_sheet, plot_paths, save_picture


def test_a_sheet_shows_every_frame_in_its_place():
    colours = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)
    frames = np.broadcast_to(colours[:, None, None], (3, 96, 144, 3))
    sheet = contact_sheet([SheetRow("drive", frames, ("0 s", "1 s", "2 s")), SheetRow("b", frames[:1], ("0 s",))])
    cell = (sheet.shape[1] - 6) // 3
    for column, colour in enumerate(colours):
        assert np.array_equal(sheet[80, 6 + column * cell + 100], colour)


def test_pictures_and_plots_are_files_that_open(tmp_path):
    save_picture(tmp_path / "x.png", np.full((8, 8, 3), (255, 0, 0), np.uint8))
    assert cv2.imread(str(tmp_path / "x.png"))[0, 0].tolist() == [0, 0, 255]
    poses = np.column_stack([np.arange(24.0), np.zeros(24), np.zeros(24)])
    drive = DrivenPath("warp", poses, (poses[6:24:6, :2],), np.full(24, 12.0), np.full(24, 12.0))
    plot_paths(tmp_path / "plot.png", [drive, drive], 1 / 12)
    assert cv2.imread(str(tmp_path / "plot.png")).std() > 5
