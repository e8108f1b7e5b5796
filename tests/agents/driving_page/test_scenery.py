"""What the page offers to drive in."""

import numpy as np
import pytest

from longdwm_env.agents.driving_page.orders import Refused
from longdwm_env.agents.driving_page.photos import Photos
from longdwm_env.agents.driving_page.picture_scenery import Scenery
from longdwm_env.io.figures import save_picture


def test_a_file_that_cannot_be_read_does_not_spoil_a_folder_of_good_ones(tmp_path):
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "a.jpg").write_bytes(b"no picture")
    save_picture(tmp_path / "scenes" / "b.png", np.full((48, 72, 3), 90, np.uint8))
    scenery = Scenery(str(tmp_path / "scenes"), Photos(tmp_path))
    offered = [(choice.which, choice.label) for choice in scenery.choices() if choice.kind == "source"]
    assert offered == [("1", "b.png")]
    assert scenery.thumbnail("source", "1").startswith(b"\xff\xd8")
    with pytest.raises(Refused):
        scenery.thumbnail("source", "0")
