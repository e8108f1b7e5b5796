"""Type for the instruments: DejaVu Sans, which matplotlib brings along, so that every machine shows the same."""

import importlib.util
from functools import lru_cache
from pathlib import Path

import pygame

from longdwm_env.io.words import clean

Color = tuple[int, int, int]

INK: Color = (238, 241, 243)
QUIET: Color = (160, 171, 180)
ACCENT: Color = (98, 205, 190)
AMBER: Color = (244, 186, 92)
RED: Color = (235, 92, 82)
NIGHT: Color = (15, 19, 24)
PANEL_ALPHA = 190


@lru_cache(maxsize=32)
def font(size_px: int, bold: bool = False) -> pygame.font.Font:
    """A font whose line is about ``size_px`` high."""
    pygame.font.init()
    spec = importlib.util.find_spec("matplotlib")
    folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" if spec and spec.origin else None
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = folder / name if folder is not None and (folder / name).is_file() else None
    return pygame.font.Font(path, size_px)


@lru_cache(maxsize=256)
def text(words: str, size_px: int, color: Color = INK, bold: bool = False) -> pygame.Surface:
    """Words as a picture with a transparent background."""
    return font(size_px, bold).render(clean(words), True, color)


def place(
    surface: pygame.Surface, picture: pygame.Surface, at: tuple[float, float], anchor: str = "topleft"
) -> pygame.Rect:
    """Draw a picture so that its ``anchor`` (a name of pygame.Rect's points) lies at a position."""
    rect = picture.get_rect(**{anchor: (round(at[0]), round(at[1]))})
    surface.blit(picture, rect)
    return rect


def panel(surface: pygame.Surface, rect: pygame.Rect, alpha: int = PANEL_ALPHA, radius_px: int = 10) -> None:
    """A dark, translucent card that makes type readable on any picture."""
    card = pygame.Surface(rect.size, pygame.SRCALPHA)
    pygame.draw.rect(card, (*NIGHT, alpha), card.get_rect(), border_radius=radius_px)
    surface.blit(card, rect)
