"""Pictures driven with and without a road that is said of them."""

import cv2
import numpy as np
import pytest

from longdwm_env.agents.driving.engine.drive_options import DriveOptions
from longdwm_env.agents.driving.engine.start import open_session
from longdwm_env.agents.driving.recording.headless import record_drive
from longdwm_env.agents.driving.recording.journal import Journal
from longdwm_env.agents.driving_page.page_starts import SOURCE, Starts
from longdwm_env.agents.driving_page.photos import Photos
from longdwm_env.errors import InvalidConfig


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(60, 180, (64, 96, 3), np.uint8))
    return path


def options(picture, out, **changes):
    return DriveOptions(
        world="warp", scene=str(picture), policy="idm", image_size=(48, 72), out=out, speed=8.0, **changes
    )


def test_a_policy_that_needs_a_lane_says_so_and_nothing_is_written(picture, tmp_path):
    out = tmp_path / "out"
    session, _ = open_session(options(picture, out), inline=True)
    with pytest.raises(InvalidConfig, match="--road straight"):
        record_drive(session, out, 2.0, (320, 240))
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.filterwarnings("ignore::longdwm_env.scenes.made_roads.HorizonNotFoundWarning")
def test_with_a_road_it_drives_and_the_replay_knows_the_road(picture, tmp_path):
    out = tmp_path / "out"
    session, _ = open_session(options(picture, out, road="0.01,offset=0"), inline=True)
    written = record_drive(session, out, 1.0, (320, 240))
    assert written.ended == "time"
    journal = Journal.load(written.replay)
    assert journal.scenes == f"{picture.resolve()}?road=0.01,offset=0&speed_mps=8.0"
    again, _ = open_session(DriveOptions(replay=written.replay, out=out), inline=True)
    assert again.generator.source.scene(0).road_map.curvature_per_m == 0.01


def test_a_server_s_road_holds_for_its_scenes_and_for_photos(picture, tmp_path):
    photos = Photos(tmp_path / "photos")
    starts = Starts(options(picture, tmp_path, road="straight"), photos)
    said = f"{picture.resolve()}?road=straight&speed_mps=8.0"
    assert starts.source == said
    assert starts._path_of(SOURCE) == said
