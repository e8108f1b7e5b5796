"""The help overlay: what every key does."""

import pygame

from longdwm_env.agents.driving.input.key_commands import BINDINGS, GAMEPAD_ABOUT
from longdwm_env.agents.driving.window.typeface import ACCENT, INK, QUIET, panel, place, text


def draw_help(surface: pygame.Surface, unit: float) -> None:
    """Two columns of keys on a card in the middle."""
    size = round(16 * unit)
    half = -(-len(BINDINGS) // 2)
    line_px = round(30 * unit)
    column_px = round(400 * unit)
    card = pygame.Rect(0, 0, 2 * column_px + round(40 * unit), (half + 4) * line_px + round(30 * unit))
    card.center = surface.get_rect().center
    panel(surface, card, alpha=225, radius_px=16)
    x, y = card.left + 34 * unit, card.top + 22 * unit
    place(surface, text("Keys", round(24 * unit), INK, bold=True), (x, y))
    y += 1.5 * line_px
    for index, binding in enumerate(BINDINGS):
        column, row = divmod(index, half)
        left = x + column * column_px
        place(surface, text(binding.shown, size, ACCENT, bold=True), (left, y + row * line_px))
        place(surface, text(binding.about, size, INK), (left + 124 * unit, y + row * line_px))
    y += (half + 0.4) * line_px
    for index, (name, about) in enumerate(GAMEPAD_ABOUT):
        place(surface, text(name, size, ACCENT, bold=True), (x, y + index * line_px))
        place(surface, text(about, size, QUIET), (x + 124 * unit, y + index * line_px))
