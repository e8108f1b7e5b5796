"""How large the pictures are that people are shown, in every command that shows a world."""

import json
from pathlib import Path

import pytest

from longdwm_env.agents.driving.engine.drive_options import DriveOptions
from longdwm_env.agents.driving.engine.open_worlds import Generator
from longdwm_env.agents.driving.engine.start import open_session
from longdwm_env.agents.driving.recording.picture_sizes import PictureSizes
from longdwm_env.cli.drives import rollout_run as rollouts
from longdwm_env.cli.drives.demo import drive
from longdwm_env.errors import InvalidConfig, MissingWeights, UnknownWorld
from longdwm_env.factory import make_world, own_image_size, shown_image_size
from longdwm_env.models.pipeline import LongDWMPipeline

from .test_composition import make_compositor

OWN, TWICE = (32, 48), (64, 96)


@pytest.fixture
def composing_folder(saved, tmp_path):
    pipeline = LongDWMPipeline.from_pretrained(saved)
    pipeline.register_modules(compositor=make_compositor())
    pipeline.save_pretrained(tmp_path / "composing")
    return str(tmp_path / "composing")


@pytest.fixture
def shown_twice(monkeypatch):
    monkeypatch.setattr("longdwm_env.factory.SHOWN_IMAGE_SIZE", TWICE)


@pytest.mark.parametrize("world", ["mini", "simulator", "warp"])
def test_the_packages_worlds_are_shown_at_192_x_288(world):
    assert shown_image_size(world) == (192, 288)
    assert own_image_size(world) == (96, 144)
    assert shown_image_size(world, (96, 144)) == (96, 144)


def test_a_pipeline_that_was_not_made_for_it_is_shown_at_its_own_size(saved, composing_folder, shown_twice):
    assert shown_image_size(saved) == OWN
    assert shown_image_size(composing_folder) == TWICE
    assert own_image_size(composing_folder) == OWN


@pytest.mark.parametrize("size", [(0, 48), (32, -48), (32, 5000)])
def test_sizes_that_no_picture_has_are_refused(size):
    with pytest.raises(InvalidConfig, match="from 1 to 4096"):
        shown_image_size("warp", size)


def test_what_is_no_world_says_so(composing_folder, tmp_path):
    with pytest.raises(UnknownWorld, match="'nonsense' does not exist"):
        shown_image_size("nonsense")
    with pytest.raises(UnknownWorld, match=r"model_index\.json"):
        shown_image_size(tmp_path)
    index = Path(composing_folder) / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"settings": {"image_size": "large"}}))
    with pytest.raises(MissingWeights, match="image_size"):
        shown_image_size(composing_folder)


@pytest.mark.parametrize(("asked", "made"), [(None, TWICE), (OWN, OWN)])
def test_a_learned_world_obeys_wherever_people_see_it(composing_folder, shown_twice, asked, made, tmp_path):
    assert Generator(None, asked).world(composing_folder).image_size == made
    options = DriveOptions(world=composing_folder, scene="3", image_size=asked, policy="idm", out=tmp_path)
    session, _ = open_session(options, inline=True)
    session.tick(0.0)
    assert session.trip is not None
    assert session.trip.present.state.image_size == made
    assert session.trip.journal.sizes == PictureSizes(asked)
    request = rollouts.Request("simulator:3", "straight", 1.0, composing_folder, 7, None, asked, None)
    assert rollouts.open_environment(request)[1].world.image_size == made
    assert drive(composing_folder, None, "slalom", 1.0, 3, image_size=asked).frames.shape[1:3] == made


def test_a_size_that_a_learned_world_cannot_make_names_what_it_can(composing_folder):
    with pytest.raises(InvalidConfig, match=r"multiples of \d+ pixels; its own is"):
        make_world(composing_folder, (33, 49))


def test_drives_of_before_keep_the_size_that_learned_worlds_had(composing_folder, shown_twice):
    before = PictureSizes((256, 384), learned_own=True)
    assert before.of("warp") == (256, 384)
    assert before.of(composing_folder) == OWN
    assert Generator(None, before).world(composing_folder).image_size == OWN
