"""Metrics: laws that hold for any of them, and values worked out by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from longdwm_env.errors import InvalidConfig, MissingDependency, MissingWeights
from longdwm_env.evaluation.frechet import (
    Gaussian,
    frechet_difference,
    frechet_distance,
    frechet_interval,
    frechet_ratio,
    gaussian_of,
)
from longdwm_env.evaluation.image_quality import psnr_db, ssim
from longdwm_env.evaluation.networks import Networks
from longdwm_env.evaluation.paper import vbench, video_sets
from longdwm_env.evaluation.paper.feature_networks import (
    InceptionFeatures,
    VideoFeatures,
    load_torchscript,
    preprocessed_for_fvd,
)
from longdwm_env.evaluation.paper.human_comparison import Pair, build_page, win_rates
from longdwm_env.evaluation.paper.video_folders import VideoFolder, paired
from longdwm_env.evaluation.paper.video_sets import fid_of, measure
from longdwm_env.evaluation.report import Table, is_above_zero
from longdwm_env.evaluation.statistics import Interval, bootstrap, mean_interval
from longdwm_env.io.video import write_video
from longdwm_env.models.readers.scorer import (
    DrivingEncoder,
)
from longdwm_env.training.data.footage import record_footage
from longdwm_env.training.losses.encoder import (
    EncoderObjective,
    WindowSampler,
)

from ..training.scenery import PaintedRoad


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


# Frechet distance


def test_frechet_distance_in_one_dimension_by_hand() -> None:
    # N(1, 4) and N(3, 9): (1 - 3)^2 + (2 - 3)^2 = 5.
    a = Gaussian(10, np.array([1.0]), np.array([[4.0]]))
    b = Gaussian(10, np.array([3.0]), np.array([[9.0]]))
    assert frechet_distance(a, b) == pytest.approx(5.0)


def test_frechet_distance_is_symmetric_and_zero_to_itself() -> None:
    rng = np.random.default_rng(0)
    # Fewer samples than dimensions: covariances are singular, as with few videos.
    a, b = (gaussian_of(rng.normal(size=(12, 30)) * s) for s in (1.0, 2.0))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-5)


def test_one_feature_is_too_few() -> None:
    with pytest.raises(InvalidConfig, match="at least two"):
        gaussian_of(np.zeros((1, 4)))


# PSNR and SSIM


def test_psnr_by_hand() -> None:
    # Every value off by 5: 20 log10(255 / 5).
    made, truth = np.full((2, 4, 4, 3), 105, np.uint8), np.full((2, 4, 4, 3), 100, np.uint8)
    assert psnr_db(made, truth) == pytest.approx(20 * np.log10(51))
    assert psnr_db(truth, truth).tolist() == [100, 100], "equal frames"


def test_ssim_is_torchmetrics_ssim() -> None:
    functional = pytest.importorskip("torchmetrics.functional.image", reason="torchmetrics comes with the train extra")
    a, b = noise(1, 1, 24, 32, 3), noise(2, 1, 24, 32, 3)
    tensors = [torch.from_numpy(x).movedim(-1, 1).double() for x in (a, b)]
    padded = functional.structural_similarity_index_measure(*tensors, data_range=255.0, return_full_image=True)[1][
        ..., 5:-5, 5:-5
    ]
    assert ssim(a, b)[0] == pytest.approx(float(padded.mean()), abs=1e-6)


def test_frames_of_different_shapes_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="one shape"):
        psnr_db(noise(0, 2, 4, 4, 3), noise(0, 2, 4, 5, 3))


# Intervals


def test_one_scene_has_no_interval_rather_than_one_of_width_zero() -> None:
    one, none = bootstrap(np.array([3.0])), mean_interval(np.array([np.nan]))
    assert np.isnan([one.low, one.high]).all()
    assert (str(one), str(none)) == ("3 (one)", "-")
    assert is_above_zero(one) is None
    assert "[" not in str(bootstrap(np.array([7.25])))


def test_no_distance_is_negative_however_few_the_scenes() -> None:
    rng = np.random.default_rng(1)
    for scenes in (2, 3, 5):
        real, made = ([rng.normal(0, 1, (1, 3)) for _ in range(scenes)] for _ in range(2))
        assert frechet_interval(real, made).low >= 0
        assert frechet_ratio(real, made, real, made[::-1]).low >= 0
    assert frechet_difference(real, made, made).low <= 0  # a difference may be


# The encoder


def test_footage_without_labels_cannot_train_the_encoder(tmp_path: Path) -> None:
    footage = record_footage(PaintedRoad(clips=1, frames=13), tmp_path / "footage")
    with pytest.raises(InvalidConfig, match="lacks the labels"):
        WindowSampler(footage, 0, [0])


# Networks of others


class Mean(torch.nn.Module):
    """Stands for Inception and I3D: the mean colour, repeated."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features

    def forward(self, x: torch.Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False):
        dims = list(range(2, x.dim()))
        return x.float().mean(dim=dims).repeat(1, self.features // 3 + 1)[:, : self.features]


def scripted(path: Path, features: int = 2048) -> Path:
    torch.jit.script(Mean(features)).save(str(path))
    return path


def test_fid_and_fvd_take_torchscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchmetrics", reason="torchmetrics comes with the train extra")
    network = scripted(tmp_path / "mean.pt")
    assert InceptionFeatures(network)(torch.zeros(2, 3, 4, 4, dtype=torch.uint8)).shape == (2, 2048)
    assert video_sets.KeptFeatures.num_features == 2048
    # The roots of a matrix of 2048 x 2048 take most of a minute; the distance is the same one of fewer features.
    monkeypatch.setattr(video_sets.KeptFeatures, "num_features", 32)
    network = scripted(tmp_path / "narrow.pt", features=32)
    videos = [noise(seed, 12, 8, 8, 3) for seed in range(3)]
    brighter = [np.clip(video.astype(int) + 40, 0, 255).astype(np.uint8) for video in videos]
    i3d = VideoFeatures(network)
    same, other = (
        gaussian_of(torch.cat([i3d(torch.from_numpy(video[None]).movedim(-1, 2)) for video in some]))
        for some in (videos, brighter)
    )
    assert frechet_distance(same, same) == pytest.approx(0, abs=1e-3)
    assert frechet_distance(same, other) > 1e-3
    inception = InceptionFeatures(network)
    same, other = (
        [inception(torch.from_numpy(video).movedim(-1, 1)).numpy() for video in some] for some in (videos, brighter)
    )
    assert fid_of(same, other) > fid_of(same, same)


def test_feature_networks_are_asked_on_their_device(tmp_path: Path) -> None:
    """On ``meta`` nothing is computed: what comes back from there shows that weights and pictures were sent there."""
    inception, i3d = scripted(tmp_path / "inception.pt"), scripted(tmp_path / "i3d.pt", 400)
    frames, clip = (torch.zeros(shape, dtype=torch.uint8) for shape in ((13, 3, 24, 36), (1, 13, 3, 24, 36)))
    assert InceptionFeatures(inception, "meta")(frames).device.type == "meta"
    assert VideoFeatures(i3d, "meta")(clip).device.type == "meta"
    assert Networks(inception=inception, device="meta").inception_network.device.type == "meta"
    assert Networks(i3d=i3d, device="meta").i3d_network.device.type == "meta"


def test_pickled_weights_are_not_opened(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "pickled.pt")
    with pytest.raises(InvalidConfig, match="pickled weights are not opened"):
        load_torchscript(tmp_path / "pickled.pt", "FID")
    with pytest.raises(MissingWeights, match="does not exist"):
        load_torchscript(tmp_path / "none.pt", "FID")


def test_fvd_preprocessing_keeps_the_range() -> None:
    video = torch.zeros(1, 10, 3, 16, 24, dtype=torch.uint8)
    video[:, 5] = 255
    prepared = preprocessed_for_fvd(video)
    assert prepared.shape == (1, 3, 10, 224, 224)
    assert prepared[:, :, 5].min() == pytest.approx(1.0)
    assert prepared[:, :, 0].max() == pytest.approx(-1.0)


def test_fvd_rejects_videos_of_different_lengths(tmp_path: Path) -> None:
    i3d = scripted(tmp_path / "mean.pt")
    with pytest.raises(InvalidConfig, match="one length"):
        measure([noise(0, 12, 4, 4, 3)], [noise(0, 13, 4, 4, 3)], Networks(i3d=i3d), is_paired=False)
    with pytest.raises(InvalidConfig, match="at least 10 frames"):
        VideoFeatures(i3d)(torch.zeros(1, 6, 3, 4, 4, dtype=torch.uint8))


@pytest.mark.skipif(vbench.available(), reason="VBench is installed here")
def test_a_missing_vbench_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(MissingDependency, match="pip install vbench"):
        vbench.vbench_scores(tmp_path, tmp_path)


# Folders, tables, people


def test_folders_of_videos_are_paired_by_name(tmp_path: Path) -> None:
    video = PaintedRoad(frames=25).clip(0).images
    for folder, names in (("real", ("a", "b")), ("made", ("b", "c"))):
        for name in names:
            write_video(tmp_path / folder / f"{name}.mp4", [video])
    real, made = VideoFolder(tmp_path / "real"), VideoFolder(tmp_path / "made")
    assert paired(real, made) == ("b",)
    assert real.read("a", (32, 48)).shape == (25, 32, 48, 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidConfig, match="neither videos nor folders"):
        VideoFolder(tmp_path / "empty")


def test_metrics_without_networks_say_what_is_left_out() -> None:
    videos = [noise(seed, 24, 16, 16, 3) for seed in range(2)]
    found, left_out = measure(videos, videos, Networks(), is_paired=True)
    assert found["PSNR (dB)"].value == 100.0
    assert found["SSIM"].value == pytest.approx(1.0)
    assert set(left_out) == {"FID", "FVD", "FDS"}
    drift = ["PSNR, second 1 (dB)", "SSIM, second 1", "PSNR, second 2 (dB)", "SSIM, second 2"]
    assert list(found) == ["FID", "FVD", "FDS", "PSNR (dB)", "SSIM", *drift]
    apart, why = measure(videos, videos, Networks(), is_paired=False)
    assert apart["SSIM"] is None
    assert "PSNR, SSIM" in why


def test_tables_come_in_three_forms_and_confess_their_size(tmp_path: Path) -> None:
    table = Table(
        "short", "Short", ("model", "FVD"), (("ours", (Interval(3.0, 2.0, 4.0),)),), 5,
        {"model hash": "abc", "seeds": "0 to 4"}, ("A note.",), (("Vista", (89.4,)),), 750,
    )  # fmt: skip
    paths = table.write(tmp_path)
    assert {path.suffix for path in paths} == {".json", ".csv", ".md"}
    value = json.loads((tmp_path / "short.json").read_text())
    assert value["rows"][0] == {"from": "here", "model": "ours", "FVD": {"value": 3.0, "low": 2.0, "high": 4.0}}
    assert value["rows"][1]["from"] == "paper"
    text = (tmp_path / "short.md").read_text()
    assert "SMALLER THAN THE PAPER'S: 5 of 750" in text
    assert "model hash: abc" in text
    assert "SMALLER" not in Table("x", "X", ("m", "v"), (("a", (1.0,)),), 750, paper_samples=750).as_markdown()


def test_a_comparison_page_hides_which_side_is_which(tmp_path: Path) -> None:
    for model in ("ours", "theirs"):
        for scene in range(6):
            write_video(tmp_path / model / f"{scene}.mp4", [noise(scene, 12, 16, 16, 3)])
    pairs = [Pair(str(s), tmp_path / "ours" / f"{s}.mp4", tmp_path / "theirs" / f"{s}.mp4") for s in range(6)]
    page, key = build_page(pairs, ("ours", "theirs"), tmp_path / "compare.html", seed=1)
    text = page.read_text()
    assert "ours" not in text.replace("hours", "").replace("yours", "").replace("your", "")
    assert "http://" not in text
    assert "https://" not in text
    secret = json.loads(key.read_text())
    assert {side["left"] for side in secret["sides"].values()} == {"ours", "theirs"}
    # One who always prefers "ours" in looks, and always the left side in motion.
    answers = []
    for pair, side in secret["sides"].items():
        answers.append(
            {"pair": int(pair), "question": "visual", "choice": "left" if side["left"] == "ours" else "right"}
        )
        answers.append({"pair": int(pair), "question": "motion", "choice": "left"})
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"page": secret["page"], "answers": answers}))
    rates = {rate.question: rate for rate in win_rates(key, [file])}
    assert rates["visual"].share.value == 1.0
    assert rates["motion"].wins == sum(side["left"] == "ours" for side in secret["sides"].values())
    file.write_text(json.dumps({"page": "another", "answers": []}))
    with pytest.raises(InvalidConfig, match="another page"):
        win_rates(key, [file])


def test_the_encoder_learns_to_read_speed(tmp_path: Path) -> None:
    source = PaintedRoad(clips=6, frames=37)
    clips = [source.clip(i) for i in range(6)]
    extra = ("lateral_m", "heading_error_rad", "weather", "time_of_day", "drivable", "collided", "time_to_collision_s")

    class Labelled(PaintedRoad):
        def clip(self, index: int):
            clip = clips[index]
            labels = {**clip.labels, **{name: np.zeros(37, np.float32) for name in extra}}
            labels["weather"] = np.full(37, index % 3, np.float32)
            return type(clip)(clip.key, clip.images, clip.camera, clip.poses, clip.prompt, labels)

    footage = record_footage(Labelled(clips=6, frames=37), tmp_path / "footage")
    torch.manual_seed(0)
    objective = EncoderObjective(DrivingEncoder(channels=(8, 8, 16, 16), feature_dim=16), seed=0)
    sampler = WindowSampler(footage, 0, range(6))
    optimizer = torch.optim.Adam(objective.parameters(), lr=3e-3)
    losses = []
    for step in range(16):
        loss, _ = objective(sampler.batch(step, range(4 * step, 4 * step + 4)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])
