"""The scorer as it is shipped, how it is measured, and that results say which weights they rest on."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from longdwm_env.cli.measuring.paper_metrics import NetworkOptions, opened_networks
from longdwm_env.errors import MissingWeights
from longdwm_env.evaluation.reader_quality import area_under_curve, motion_quality, scorer_quality
from longdwm_env.models.readers import inverse_dynamics, scorer
from longdwm_env.models.readers.inverse_dynamics import InverseDynamics, load_inverse_dynamics
from longdwm_env.models.readers.reader_files import WEIGHTS
from longdwm_env.models.readers.scorer import DrivingEncoder, bundled_scorer, load_scorer
from longdwm_env.training.data.clip import Clip
from longdwm_env.training.data.encoded.latents import weights_hash
from longdwm_env.training.shipping.ship_reader import ship_reader

from .scenery import PaintedRoad

FRAMES = 37


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return DrivingEncoder(channels=(8, 8, 16, 16), feature_dim=16).eval()


@pytest.fixture
def trained(encoder, tmp_path):
    encoder.save_pretrained(str(tmp_path / "trained"), safe_serialization=True)
    return tmp_path / "trained"


class LabelledRoad(PaintedRoad):
    """With the labels that only the simulator has."""

    def clip(self, index: int) -> Clip:
        clip = super().clip(index)
        flat = {
            name: np.zeros(FRAMES, np.float32) for name in ("lateral_m", "heading_error_rad", "time_of_day", "collided")
        }
        flat["weather"] = np.full(FRAMES, index % 3, np.float32)
        flat["drivable"] = (np.arange(FRAMES) < 20).astype(np.float32)
        flat["time_to_collision_s"] = np.where(np.arange(FRAMES) < 25, 9.0, 1.0).astype(np.float32)
        return Clip(clip.key, clip.images, clip.camera, clip.poses, clip.prompt, {**clip.labels, **flat})


def test_export_halves_the_bytes_and_says_what_it_is(encoder, trained, tmp_path):
    exported = ship_reader("scorer", trained, tmp_path / "shipped", {"recipe": "mini-simulator", "steps": 60})
    assert {tensor.dtype for tensor in load_file(tmp_path / "shipped" / WEIGHTS).values()} == {torch.bfloat16}
    loaded = load_scorer(tmp_path / "shipped")
    assert weights_hash(loaded) == exported
    windows = PaintedRoad(clips=1, frames=FRAMES).clip(0).images[None, :12]
    assert loaded.judge(windows) == pytest.approx(encoder.judge(windows), abs=0.02)
    card = (tmp_path / "shipped" / "MODEL_CARD.md").read_text()
    for said in (exported, "mini-simulator", "FDS is not FVD", "Not measured."):
        assert said in card
    assert sorted(path.name for path in (tmp_path / "shipped").iterdir()) == [
        *("MODEL_CARD.md", "README.md", "config.json", WEIGHTS)
    ]
    readme = (tmp_path / "shipped" / "README.md").read_text()
    assert readme.startswith("---\n")
    assert f"from {load_scorer.__module__} import load_scorer" in readme
    assert "](MODEL_CARD.md)" in readme


def test_nothing_is_exported_where_nothing_was_trained(tmp_path):
    with pytest.raises(MissingWeights, match="holds no scorer"):
        ship_reader("scorer", tmp_path, tmp_path / "shipped", {})
    assert not (tmp_path / "shipped").exists()


def test_the_scorers_quality_is_a_row_for_each_reading(encoder, trained, tmp_path):
    table = scorer_quality(encoder, LabelledRoad(clips=4, frames=FRAMES), 3, {"hash": "abc"})
    rows = dict(table.rows)
    assert set(rows) == {
        "speed_mps", "yaw_rate_radps", "lateral_m", "heading_error_rad", "weather", "time_of_day", "off_road", "danger",
    }  # fmt: skip
    assert table.samples == 3
    windows = 3 * len(range(0, FRAMES - 11, 6))
    assert rows["speed_mps"][0] == rows["danger"][0] == windows
    # Windows end at frames 11, 17, 23, 29, 35; the road is left from 20 on, and there is danger from 25 on.
    assert rows["off_road"][-1] == pytest.approx(3 / 5)
    assert rows["danger"][-1] == pytest.approx(2 / 5)
    assert rows["weather"][-1] == 3
    ship_reader("scorer", trained, tmp_path / "shipped", {}, table.as_markdown())
    assert "area under ROC curve" in (tmp_path / "shipped" / "MODEL_CARD.md").read_text()


def test_the_inverse_dynamics_model_ships_in_the_same_way_with_its_own_errors(tmp_path):
    torch.manual_seed(0)
    InverseDynamics(channels=4, coarse_channels=4).save_pretrained(str(tmp_path / "trained"))
    quality = motion_quality(load_inverse_dynamics(tmp_path / "trained"), LabelledRoad(2, FRAMES, (96, 144)), 2, {})
    assert [name for name, _ in quality.rows] == ["speed_mps", "yaw_rate_radps", "speed_mps"]
    assert quality.rows[2][1][1] == "error of all metres driven"
    exported = ship_reader(
        "inverse-dynamics", tmp_path / "trained", tmp_path / "shipped", {"steps": 30}, quality.as_markdown()
    )
    assert weights_hash(load_inverse_dynamics(tmp_path / "shipped")) == exported
    assert {tensor.dtype for tensor in load_file(tmp_path / "shipped" / WEIGHTS).values()} == {torch.bfloat16}
    card = (tmp_path / "shipped" / "MODEL_CARD.md").read_text()
    for said in (exported, "longdwm train ship-inverse-dynamics", "error of all metres driven"):
        assert said in card


def test_area_under_the_curve_by_hand():
    said, true = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])
    assert area_under_curve(said, true) == 0.75
    assert area_under_curve(np.zeros(4), true) == 0.5
    assert np.isnan(area_under_curve(said, np.zeros(4)))


def test_metrics_take_the_bundled_scorer_unless_another_is_given(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(scorer, "BUNDLED", tmp_path / "nothing")
    monkeypatch.setattr(inverse_dynamics, "BUNDLED", tmp_path / "nothing")
    bundled_scorer.cache_clear()
    assert opened_networks(NetworkOptions()).encoder is None
    given = opened_networks(NetworkOptions(encoder=trained))
    assert given.facts() == {"scorer of FDS": f"{weights_hash(given.encoder)} ({trained})"}
    monkeypatch.setattr(scorer, "BUNDLED", trained)
    bundled = opened_networks(NetworkOptions())
    assert bundled.encoder is bundled_scorer()
    assert "(bundled)" in bundled.facts()["scorer of FDS"]
    bundled_scorer.cache_clear()
    with pytest.raises(MissingWeights, match="holds no scorer"):
        opened_networks(NetworkOptions(encoder=tmp_path / "nothing"))
