"""WebP files, still and moving, through Pillow.

Of what browsers and GitHub show inline without a player, a moving WebP alone has all colours, soft edges on any page,
durations in milliseconds (a frame of 1/12 s is no whole number of GIF's hundredths) and lossy compression. Films of the
simulator take an eighth of a GIF's bytes and a twentieth of an animated PNG's (24 frames of 519 x 346 at quality 60).
"""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from longdwm_env.clock import FPS
from longdwm_env.io.files import atomic_path

_METHOD = 4
"""Of WebP's search, 0 to 6: the next thorough ones take 25 times as long for files 2 % smaller."""


def write_picture(path: str | os.PathLike[str], picture: NDArray[np.uint8], quality: int) -> None:
    """Write (H, W, 4) RGBA, whole or not at all."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, "WEBP", quality=quality, method=_METHOD)


def write_animation(
    path: str | os.PathLike[str],
    pictures: Sequence[NDArray[np.uint8]],
    quality: int,
    first_s: float = 0.0,
    last_s: float = 0.0,
) -> None:
    """Write pictures (H, W, 4) RGBA as a film that starts over at its end.

    Args:
        path: the file, written whole or not at all.
        pictures: at the frame rate.
        quality: from 0 to 100.
        first_s: how much longer the first picture stays.
        last_s: how much longer the last picture stays.
    """
    # Rounded where they end and not each by itself, so that a second of frames lasts a second.
    ends_ms = np.round(np.arange(len(pictures) + 1) * 1000 / FPS).astype(int)
    durations = np.diff(ends_ms)
    durations[0] += round(first_s * 1000)
    durations[-1] += round(last_s * 1000)
    first, *others = (Image.fromarray(picture) for picture in pictures)
    with atomic_path(path) as temporary:
        first.save(
            temporary,
            "WEBP",
            save_all=True,
            append_images=others,
            duration=durations.tolist(),
            loop=0,
            quality=quality,
            method=_METHOD,
        )
