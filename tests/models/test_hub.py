"""Pipelines where diffusers' users look for them: opened by diffusers alone, sent to the hub, taken from it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from diffusers import DiffusionPipeline
from diffusers.pipelines import pipeline_utils
from diffusers.utils import hub_utils
from huggingface_hub import ModelCard
from huggingface_hub.errors import EntryNotFoundError

from longdwm_env.models import card
from longdwm_env.models.pipeline import LongDWMPipeline

ROOT = Path(__file__).parents[2]


def python(script, **environment):
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    # Progress bars are among the errors: what the script itself prints comes last.
    return done.stderr + done.stdout


@pytest.fixture
def folder(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "pipeline"))


def test_diffusers_opens_a_saved_pipeline_as_its_class(pipeline, folder, image):
    loaded = DiffusionPipeline.from_pretrained(folder)
    assert type(loaded) is LongDWMPipeline
    loaded.set_progress_bar_config(disable=True)
    options = {"seconds": 1.0, "generator": 1, "output_type": "np"}
    assert np.array_equal(loaded(image, **options).frames, pipeline(image, **options).frames)


OPENING = """
from diffusers import DiffusionPipeline
try:
    DiffusionPipeline.from_pretrained({0!r})
except AttributeError as error:
    print(str(error).replace("\\n", " "))
print(type(DiffusionPipeline.from_pretrained({0!r}, custom_pipeline="pipeline", trust_remote_code=True)).__name__)
"""


def test_diffusers_opens_it_by_the_file_in_its_folder_or_names_its_class(folder, tmp_path):
    modules = {"HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
    alone, opened = python(OPENING.format(str(folder)), **modules).strip().splitlines()[-2:]
    assert "no attribute" in alone
    assert "LongDWMPipeline" in alone
    assert opened == "LongDWMPipeline"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that keeps what is sent to it in folders here, and has no cards yet."""
    sent = {}

    class Repository:
        def __init__(self, repo_id):
            self.repo_id = f"somebody/{repo_id}"

    def upload(self, working_dir, repo_id, **kwargs):
        sent[repo_id] = {path.name: path.read_bytes() for path in Path(working_dir).iterdir() if path.is_file()}

    def no_card(*args, **kwargs):
        raise EntryNotFoundError("no card")

    for module in (hub_utils, pipeline_utils):
        monkeypatch.setattr(module, "create_repo", lambda repo_id, **kwargs: Repository(repo_id))
    monkeypatch.setattr(hub_utils.PushToHubMixin, "_upload_folder", upload)
    monkeypatch.setattr(ModelCard, "load", no_card)
    return sent


@pytest.mark.parametrize("way", ["push", "save"])
def test_a_pipeline_is_sent_with_its_card(pipeline, hub, way, tmp_path):
    if way == "push":
        pipeline.push_to_hub("roads")
    else:
        pipeline.save_pretrained(str(tmp_path / "roads"), push_to_hub=True)
    said = ModelCard(hub["somebody/roads"][card.CARD].decode())
    assert said.data.pipeline_tag == "image-to-video"
    assert said.data.library_name == "diffusers"
    assert 'world="somebody/roads"' in said.text
    assert "48 x 32 pixels" in said.text
    assert {"model_index.json", card.OPENER} <= set(hub["somebody/roads"])


def test_the_card_beside_the_weights_is_the_card_on_the_hub(folder, hub):
    (folder / card.OWN_CARD).write_text("# Roads of mine\n\nMeasured: little.\n")
    LongDWMPipeline.from_pretrained(folder).push_to_hub("roads")
    assert "Measured: little." in hub["somebody/roads"][card.CARD].decode()


def test_a_card_that_somebody_wrote_there_stays(pipeline, hub, monkeypatch):
    monkeypatch.setattr(ModelCard, "load", lambda *args, **kwargs: ModelCard("---\nlicense: mit\n---\n# Written\n"))
    pipeline.push_to_hub("roads")
    said = hub["somebody/roads"][card.CARD].decode()
    assert "# Written" in said
    assert "license: mit" in said


HUB_WORLD = """
import gymnasium as gym, numpy as np
import longdwm_env
from longdwm_env.errors import UnknownWorld

env = gym.make("LongDWM-v0", world="somebody/roads", device="cpu")
env.reset(seed=1)
print(env.step(np.array([[3, 0], [6, 0], [9, 0], [12, 0]], np.float32))[0]["frames"].shape, env.unwrapped.world.name)
try:
    gym.make("LongDWM-v0", world="somebody/else")
except UnknownWorld as error:
    print("UnknownWorld:", error)
"""


def test_a_hub_id_is_a_world(folder, tmp_path):
    """From the cache of this machine, as the hub's own client lays it out; the network is not asked."""
    repository = tmp_path / "hub" / "models--somebody--roads"
    revision = "0123456789abcdef0123456789abcdef01234567"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(revision)
    (repository / "snapshots").mkdir()
    folder.rename(repository / "snapshots" / revision)
    said = python(HUB_WORLD, HF_HUB_CACHE=str(tmp_path / "hub"), HF_HUB_OFFLINE="1")
    assert "(12, 32, 48, 3) somebody/roads" in said, said
    assert "UnknownWorld: somebody/else" in said, said
