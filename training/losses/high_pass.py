"""H of LongDWM, Eq. 4: what remains of a latent above a spatial frequency."""

import torch
from jaxtyping import Float
from torch import Tensor


def high_pass_mask(height: int, width: int, cutoff: float, device: torch.device | str = "cpu") -> Tensor:
    """Which frequencies of ``torch.fft.rfft2`` are kept, (height, width // 2 + 1), 1 or 0.

    A frequency is removed where its radius, as a fraction of Nyquist along each axis, is below ``cutoff``. 0 keeps
    everything; a small number removes the mean only.
    """
    rows = torch.fft.fftfreq(height, device=device).abs() * 2
    columns = torch.fft.rfftfreq(width, device=device).abs() * 2
    radius = (rows[:, None] ** 2 + columns[None] ** 2).sqrt()
    return (radius >= cutoff).float()


def high_pass(latents: Float[Tensor, "*batch h w"], cutoff: float) -> Float[Tensor, "*batch h w"]:
    """Remove the low spatial frequencies of the last two axes.

    Deviation: the paper says "2D high-pass filter of frequency domain" and gives neither shape nor cut-off; this is the
    ideal one, which is linear and leaves what it keeps unchanged.
    """
    spectrum = torch.fft.rfft2(latents.float())
    height, width = latents.shape[-2:]
    kept = spectrum * high_pass_mask(height, width, cutoff, latents.device)
    return torch.fft.irfft2(kept, s=latents.shape[-2:])
