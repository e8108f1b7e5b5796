"""The networks that measure: this project's own readers of pictures, and those of others whose weights are given."""

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from longdwm_env.errors import MissingWeights
from longdwm_env.evaluation.paper.feature_networks import InceptionFeatures, VideoFeatures, check_torchscript
from longdwm_env.io.files import content_hash
from longdwm_env.models.readers.inverse_dynamics import (
    InverseDynamics,
    bundled_inverse_dynamics,
    has_bundled_inverse_dynamics,
    load_inverse_dynamics,
)
from longdwm_env.models.readers.scorer import DrivingEncoder, bundled_scorer, has_bundled_scorer, load_scorer
from longdwm_env.training.data.encoded.latents import weights_hash


def opened_encoder(folder: Path | None = None, needed: bool = False) -> DrivingEncoder | None:
    """The scorer of a folder, else the one that comes with the package, else none.

    Raises:
        MissingWeights: the folder holds no scorer, or one is needed and none came with the package.
    """
    if folder is not None:
        return load_scorer(folder)
    return bundled_scorer() if needed or has_bundled_scorer() else None


def opened_reader(folder: Path | None = None, needed: bool = False) -> InverseDynamics | None:
    """The inverse-dynamics model of a folder, else the one that comes with the package, else none.

    Raises:
        MissingWeights: the folder holds no such model, or one is needed and none came with the package.
    """
    if folder is not None:
        return load_inverse_dynamics(folder)
    return bundled_inverse_dynamics() if needed or has_bundled_inverse_dynamics() else None


@dataclass(frozen=True)
class Networks:
    """Which networks there are to measure with; a metric without its network is left out, and said to be.

    Attributes:
        encoder: this project's own, for FDS.
        encoder_from: where the encoder's weights came from, in words.
        reader: the inverse-dynamics model, for compliance.
        reader_from: as ``encoder_from``.
        device: where feature networks run; the inverse-dynamics model reads on the CPU.
    """

    encoder: DrivingEncoder | None = None
    inception: Path | None = None
    i3d: Path | None = None
    encoder_from: str = ""
    reader: InverseDynamics | None = None
    reader_from: str = ""
    device: str = "cpu"

    def left_out(self) -> list[str]:
        """A sentence for each metric without its network."""
        used = {"FID": (self.inception, "inception"), "FVD": (self.i3d, "i3d"), "FDS": (self.encoder, "encoder")}
        return [
            f"{metric} is left out: no weights were given (--{option})."
            for metric, (network, option) in used.items()
            if network is None
        ]

    @classmethod
    def opened(
        cls,
        encoder: Path | None = None,
        reader: Path | None = None,
        inception: Path | None = None,
        i3d: Path | None = None,
        device: str = "cpu",
    ) -> "Networks":
        """Encoder and reader from these folders, else those that come with the package, else none; files as given."""
        own, motion = opened_encoder(encoder), opened_reader(reader)
        if own is not None and device != "cpu":
            # A copy: the bundled one is shared by all of this process.
            own = copy.deepcopy(own).to(device)
        return cls(own, inception, i3d, str(encoder or "bundled"), motion, str(reader or "bundled"), device)

    def check_files(self) -> None:
        """Look for the files that were given, before anything is made that they are to measure.

        Raises:
            MissingWeights: one is not there.
            InvalidConfig: one is not TorchScript.
        """
        for path, what in ((self.inception, "FID's Inception network"), (self.i3d, "FVD's I3D network")):
            if path is not None:
                check_torchscript(path, what)

    @cached_property
    def inception_network(self) -> InceptionFeatures:
        """FID's network, opened once.

        Raises:
            MissingWeights: none was given, or it is not there.
        """
        return InceptionFeatures(_given(self.inception, "FID's Inception network"), self.device)

    @cached_property
    def i3d_network(self) -> VideoFeatures:
        """FVD's network, opened once.

        Raises:
            MissingWeights: none was given, or it is not there.
        """
        return VideoFeatures(_given(self.i3d, "FVD's I3D network"), self.device)

    def facts(self) -> dict[str, object]:
        """Which weights the numbers rest on; stands under every table, as FDS of two encoders cannot be compared."""
        named = {
            "scorer of FDS": (self.encoder, self.encoder_from),
            "inverse-dynamics model": (self.reader, self.reader_from),
        }
        files = {"Inception": self.inception, "I3D": self.i3d}
        given: dict[str, object] = {
            name: content_hash(path) for name, path in files.items() if path is not None and path.is_file()
        }
        return given | {
            name: weights_hash(network) + (f" ({origin})" if origin else "")
            for name, (network, origin) in named.items()
            if network is not None
        }


def _given(path: Path | None, what: str) -> Path:
    if path is None:
        raise MissingWeights(f"{what} was not given")
    return path
