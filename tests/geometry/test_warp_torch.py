import numpy as np
import pytest
import torch

from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.warp import WarpSettings, warp_and_mask
from longdwm_env.geometry.warp_torch import warp_tensors

POSES = np.array([[0.0, 0, 0], [3, 0.1, 0.05], [8, 0.5, 0.2], [-3, 0, 0], [0, 0, 1.0], [0, 0, 3.1], [30, 2, 0.2]])
variants = pytest.mark.parametrize("variant", ["plane", "ground"])


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float()


@variants
def test_tensors_are_warped_as_opencv_warps_them(picture, variant):
    """To half of 255 on average, OpenCV's rounding to whole values and to 1/32 pixel; the masks are the same."""
    camera, settings = assumed_camera((96, 144), horizon=0.55), WarpSettings(variant)
    expected, known = warp_and_mask(picture, camera, POSES, settings)
    warped, mask = warp_tensors(as_tensor(picture), [camera], POSES[None], settings)
    assert warped.shape == (1, len(POSES), 3, 96, 144)
    differing = mask[0].numpy() != known
    assert differing.mean() < 1e-4
    agree = mask[0].numpy() & known
    images = warped[0].permute(0, 2, 3, 1).numpy()
    assert np.abs(images - expected)[agree].mean() < 0.5
    assert np.abs(images - expected)[agree].max() < 12


@variants
def test_no_motion_gives_the_image_itself(picture, camera, variant):
    warped, mask = warp_tensors(as_tensor(picture), [camera], np.zeros((1, 2, 3)), WarpSettings(variant))
    assert torch.equal(warped, as_tensor(picture)[:, None].expand(-1, 2, -1, -1, -1))
    assert mask.all()


@variants
def test_a_batch_equals_a_loop(picture, variant):
    settings = WarpSettings(variant)
    images = torch.cat([as_tensor(picture), as_tensor(picture[::-1].copy())])
    cameras = [assumed_camera((96, 144)), assumed_camera((96, 144), 0.9, horizon=0.4)]
    poses = np.stack([POSES, POSES[::-1]])
    warped, mask = warp_tensors(images, cameras, poses, settings)
    for i in range(2):
        alone, alone_mask = warp_tensors(images[i : i + 1], cameras[i : i + 1], poses[i : i + 1], settings)
        torch.testing.assert_close(warped[i], alone[0], rtol=0, atol=0.01)
        assert torch.equal(mask[i], alone_mask[0])


def test_everything_is_finite_in_half_precision(picture, camera):
    warped, _ = warp_tensors(as_tensor(picture).bfloat16() / 255, [camera], POSES[None], WarpSettings())
    assert warped.dtype == torch.bfloat16
    assert torch.isfinite(warped).all()


def test_gradients_reach_the_image(picture, camera):
    images = as_tensor(picture).requires_grad_()
    warp_tensors(images, [camera], POSES[None, 1:3], WarpSettings())[0].sum().backward()
    assert images.grad is not None
    assert torch.isfinite(images.grad).all()
    assert images.grad.abs().sum() > 0


def test_what_does_not_fit_together_is_refused(picture, camera):
    with pytest.raises(ValueError, match="as many cameras"):
        warp_tensors(as_tensor(picture), [camera, camera], POSES[None], WarpSettings())
    with pytest.raises(ValueError, match="do not fit"):
        warp_tensors(as_tensor(picture), [assumed_camera((48, 72))], POSES[None], WarpSettings())
    with pytest.raises(ValueError, match="finite"):
        warp_tensors(as_tensor(picture), [camera], np.full((1, 1, 3), np.inf), WarpSettings())
