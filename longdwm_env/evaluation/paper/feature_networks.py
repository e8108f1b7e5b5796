"""Networks that other people trained, whose weights the caller provides: Inception for FID, I3D for FVD.

Both are read as TorchScript, the form in which NVIDIA's StyleGAN3 (``inception-2015-12-05.pt``) and StyleGAN-V
(``i3d_torchscript.pt``) published them. Nothing else is accepted: a ``.pth`` or ``.pt`` of pickled weights can run code
when it is opened. TorchScript is read by PyTorch's own loader, which makes tensors and script functions and nothing
else.
"""

import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from longdwm_env.errors import InvalidConfig, MissingWeights

FVD_SIZE = 224
FVD_LEAST_FRAMES = 10
"""I3D halves time several times; shorter videos leave nothing."""


def load_torchscript(path: Path, what: str, device: str | torch.device = "cpu") -> torch.jit.ScriptModule:
    """Load a TorchScript network to a device.

    Raises:
        MissingWeights: there is no such file.
        InvalidConfig: the file is not TorchScript.
    """
    check_torchscript(path, what)
    return torch.jit.load(str(path), map_location=torch.device(device)).eval()


def check_torchscript(path: Path, what: str) -> None:
    """Look whether a file is a TorchScript network, without loading it.

    Raises:
        MissingWeights: there is no such file.
        InvalidConfig: the file is not TorchScript.
    """
    if not path.is_file():
        raise MissingWeights(f"{what}: {path} does not exist. It is not shipped; give the path of the TorchScript file")
    names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
    if not any("/code/" in name for name in names):
        raise InvalidConfig(f"{what}: {path} is not a TorchScript archive; pickled weights are not opened")


class InceptionFeatures(nn.Module):
    """The 2048 pool features of FID's Inception, in the form that ``torchmetrics`` asks of a feature extractor.

    Args:
        path: of ``inception-2015-12-05.pt``.
        device: where it runs, in float32 like its reference: in 16 bits it would be another measure.
    """

    num_features = 2048

    def __init__(self, path: Path, device: str | torch.device = "cpu") -> None:
        super().__init__()
        self.device = torch.device(device)
        self.network = load_torchscript(path, "FID's Inception network", device)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 -> (N, 2048)."""
        features: Tensor = self.network(images.to(self.device), return_features=True)
        return features.flatten(1)


class VideoFeatures:
    """I3D's 400 logits as FVD uses them (Unterthiner et al. 2018), with the usual preprocessing.

    Videos are resized to 224 x 224 bilinearly and scaled to [-1, 1], as in the reference implementation.

    Args:
        path: of ``i3d_torchscript.pt``.
        device: where it runs, in float32 like its reference.
    """

    def __init__(self, path: Path, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.network = load_torchscript(path, "FVD's I3D network", device)

    @torch.no_grad()
    def __call__(self, videos: Tensor) -> Tensor:
        """(N, T, 3, H, W) uint8 -> (N, 400).

        Raises:
            InvalidConfig: the videos are too short for I3D.
        """
        if videos.shape[1] < FVD_LEAST_FRAMES:
            raise InvalidConfig(f"FVD needs videos of at least {FVD_LEAST_FRAMES} frames, got {videos.shape[1]}")
        given = preprocessed_for_fvd(videos.to(self.device))
        features: Tensor = self.network(given, rescale=False, resize=False, return_features=True)
        return features


def preprocessed_for_fvd(videos: Tensor) -> Tensor:
    """(N, T, 3, H, W) uint8 -> (N, 3, T, 224, 224) in [-1, 1]."""
    flat = videos.flatten(0, 1).float()
    resized = torch.nn.functional.interpolate(flat, size=(FVD_SIZE, FVD_SIZE), mode="bilinear", align_corners=False)
    return (resized / 127.5 - 1).unflatten(0, videos.shape[:2]).movedim(1, 2)
