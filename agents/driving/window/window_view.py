"""Draws a ``Screen`` on a pygame surface: the picture, the path on the road, the instruments, notes and help.

Draws on any surface, a window's or one in memory, and opens none itself.
"""

import math

import numpy as np
import pygame

from longdwm_env.agents.driving.instruments import instruments
from longdwm_env.agents.driving.instruments.path_overlay import PathOverlay
from longdwm_env.agents.driving.window.help_card import draw_help
from longdwm_env.agents.driving.window.screen import Screen
from longdwm_env.agents.driving.window.typeface import ACCENT, AMBER, INK, NIGHT, QUIET, panel, place, text
from longdwm_env.agents.driving.window.upscaling import fitted_rect, upscale


class View:
    """Keeps the upscaled picture of the last frame, so that a frame is upscaled once and drawn many times."""

    def __init__(self) -> None:
        self.show_instruments = True
        self.show_help = False
        self._path = PathOverlay()
        self._large: pygame.Surface | None = None
        self._shown: tuple[int, int, tuple[int, int]] | None = None

    def draw(self, surface: pygame.Surface, screen: Screen) -> bool:
        """Draw everything; returns whether the picture of the world is a new one."""
        surface.fill(NIGHT)
        fresh, free = False, None
        if screen.moment is not None:
            fresh = self._draw_picture(surface, screen)
            if self.show_instruments:
                self._path.draw(surface, screen)
                free = instruments.draw_instruments(surface, screen)
        unit = instruments.unit_px(surface)
        if self.show_help:
            draw_help(surface, unit)
        else:
            _draw_banner(surface, screen, unit)
        _draw_note(surface, screen, unit, free)
        return fresh

    def _draw_picture(self, surface: pygame.Surface, screen: Screen) -> bool:
        assert screen.moment is not None
        image = screen.moment.frames[screen.frame]
        left, top, width, height = fitted_rect(image.shape[:2], surface.get_size())
        shown = (id(screen.moment), screen.frame, (width, height))
        fresh = shown != self._shown
        if fresh or self._large is None:
            large = upscale(image, (width, height))
            self._large = pygame.image.frombuffer(np.ascontiguousarray(large).data, (width, height), "RGB")
            self._shown = shown
        surface.blit(self._large, (left, top))
        return fresh


def _draw_banner(surface: pygame.Surface, screen: Screen, unit: float) -> None:
    if not screen.banner and not screen.hint:
        return
    title = text(screen.banner, round(34 * unit), INK, bold=True) if screen.banner else None
    hint = text(screen.hint, round(16 * unit), QUIET if title else INK)
    gap = 8 * unit
    height = hint.get_height() + (title.get_height() + gap if title else 0)
    width = max(hint.get_width(), title.get_width() if title else 0)
    card = pygame.Rect(0, 0, round(width + 44 * unit), round(height + 30 * unit))
    card.center = surface.get_width() // 2, round(surface.get_height() * (0.30 if title else 0.24))
    panel(surface, card, alpha=190)
    y = card.top + 15 * unit
    if title is not None:
        y = place(surface, title, (card.centerx, y), "midtop").bottom + gap
    place(surface, hint, (card.centerx, y), "midtop")


def _draw_note(surface: pygame.Surface, screen: Screen, unit: float, free: pygame.Rect | None) -> None:
    """A line at the top, between the cards of the instruments; below them where it is too long for that."""
    words = screen.busy if screen.busy and screen.moment is not None else ""
    color = ACCENT
    if not words and screen.note is not None:
        words, color = screen.note.text, AMBER if screen.note.warning else INK
    if not words:
        return
    limit = surface.get_width() * 0.8
    size = round(16 * unit)
    line = text(words, size, color)
    if line.get_width() > limit:
        line = text(words[: max(8, math.floor(len(words) * limit / line.get_width()) - 1)] + "…", size, color)
    card = line.get_rect().inflate(round(30 * unit), round(16 * unit))
    card.midtop = surface.get_width() // 2, round(16 * unit)
    if free is not None and card.width > free.width:
        card.top = free.bottom
    elif free is not None:
        card.clamp_ip(free)
    panel(surface, card)
    place(surface, line, card.center, "center")
