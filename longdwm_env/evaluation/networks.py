"""The networks that measure: this project's own readers of pictures, and those of others whose weights are given."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        inception: TorchScript file for FID.
        i3d: TorchScript file for FVD.
        encoder_from: where the encoder's weights came from, in words.
        reader: the inverse-dynamics model, for compliance.
        reader_from: as ``encoder_from``.
    """

    encoder: DrivingEncoder | None = None
    inception: Path | None = None
    i3d: Path | None = None
    encoder_from: str = ""
    reader: InverseDynamics | None = None
    reader_from: str = ""

    @classmethod
    def opened(
        cls,
        encoder: Path | None = None,
        reader: Path | None = None,
        inception: Path | None = None,
        i3d: Path | None = None,
    ) -> "Networks":
        """Encoder and reader from these folders, else those that come with the package, else none; files as given."""
        own, motion = opened_encoder(encoder), opened_reader(reader)
        return cls(own, inception, i3d, str(encoder or "bundled"), motion, str(reader or "bundled"))

    def facts(self) -> dict[str, Any]:
        """Which weights the numbers rest on; stands under every table, as FDS of two encoders cannot be compared."""
        named = {
            "scorer of FDS": (self.encoder, self.encoder_from),
            "inverse-dynamics model": (self.reader, self.reader_from),
        }
        return {
            name: weights_hash(network) + (f" ({origin})" if origin else "")
            for name, (network, origin) in named.items()
            if network is not None
        }
