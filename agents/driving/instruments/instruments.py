"""The instruments on top of the picture: world, speed, steering, pedals, frame rate, latency and the way back."""

import math

import pygame

from longdwm_env.agents.driving.instruments.readings import (
    LONGEST_WAY_BACK_S,
    Reading,
    numbers_of,
    pedals_of,
    place_of,
    speed_kmh,
    steering_words,
)
from longdwm_env.agents.driving.window.screen import Screen
from longdwm_env.agents.driving.window.typeface import (
    ACCENT,
    AMBER,
    INK,
    QUIET,
    RED,
    panel,
    place,
    text,
)

DESIGN_WIDTH_PX = 1200
"""Sizes below are for a window of this width; others scale."""


def unit_px(surface: pygame.Surface) -> float:
    """Window pixels per design pixel."""
    width, height = surface.get_size()
    return max(0.6, min(width / DESIGN_WIDTH_PX, height / (DESIGN_WIDTH_PX * 2 / 3)))


def draw_instruments(surface: pygame.Surface, screen: Screen) -> pygame.Rect:
    """All of them; returns what they leave free at the top, down to where the lowest card there ends."""
    unit = unit_px(surface)
    here = _draw_place(surface, screen, unit)
    numbers = _draw_numbers(surface, screen, unit)
    _draw_dashboard(surface, screen, unit)
    _draw_way_back(surface, screen, unit)
    gap = round(8 * unit)
    left, width = here.right + gap, max(0, numbers.left - here.right - 2 * gap)
    return pygame.Rect(left, here.top, width, max(here.bottom, numbers.bottom) + gap - here.top)


def _draw_place(surface: pygame.Surface, screen: Screen, unit: float) -> pygame.Rect:
    """Top left: world, scene, weather, who drives; a red dot while recording."""
    world, words = place_of(screen)
    title = text(world, round(22 * unit), INK, bold=True)
    lines = [text(line, round(14 * unit), QUIET) for line in words]
    width = max(picture.get_width() for picture in (title, *lines))
    height = title.get_height() + sum(line.get_height() + 3 * unit for line in lines)
    card = pygame.Rect(round(16 * unit), round(16 * unit), round(width + 32 * unit), round(height + 22 * unit))
    if screen.recording:
        card.width = max(card.width, round(title.get_width() + 110 * unit))
    panel(surface, card)
    y = place(surface, title, (card.left + 16 * unit, card.top + 10 * unit)).bottom
    if screen.recording:
        middle = card.top + 10 * unit + title.get_height() / 2
        mark = place(
            surface, text("REC", round(14 * unit), RED, bold=True), (card.right - 16 * unit, middle), "midright"
        )
        pygame.draw.circle(surface, RED, (mark.left - round(10 * unit), round(middle)), round(5 * unit))
    for line in lines:
        y = place(surface, line, (card.left + 16 * unit, y + 3 * unit)).bottom
    return card


def _draw_numbers(surface: pygame.Surface, screen: Screen, unit: float) -> pygame.Rect:
    """Top right: frame rate of the window, pace of the world, latency, and what it is made of."""
    rows = [Reading("window", f"{screen.drawn_fps:.0f} fps"), *numbers_of(screen)]
    size = round(14 * unit)
    left_px = max(text(row.name, size, QUIET).get_width() for row in rows)
    right_px = max(text(row.value, size, INK, bold=True).get_width() for row in rows)
    line_px = text("X", size).get_height() + 3 * unit
    card = pygame.Rect(
        0, 0, round(left_px + max(right_px, 70 * unit) + 50 * unit), round(len(rows) * line_px + 19 * unit)
    )
    card.topright = surface.get_width() - round(16 * unit), round(16 * unit)
    panel(surface, card)
    for index, row in enumerate(rows):
        y = card.top + 10 * unit + index * line_px
        place(surface, text(row.name, size, QUIET), (card.left + 16 * unit, y))
        value = text(row.value, size, AMBER if row.warning else INK, bold=True)
        place(surface, value, (card.right - 16 * unit, y), "topright")
    return card


def _draw_dashboard(surface: pygame.Surface, screen: Screen, unit: float) -> None:
    """Bottom left: speed, steering wheel, pedals."""
    assert screen.moment is not None
    controls = screen.moment.controls
    card = pygame.Rect(0, 0, round(352 * unit), round(108 * unit))
    card.bottomleft = round(16 * unit), surface.get_height() - round(16 * unit)
    panel(surface, card)
    number = place(
        surface,
        text(f"{speed_kmh(screen):.0f}", round(52 * unit), INK, bold=True),
        (card.left + 122 * unit, card.top + 12 * unit),
        "topright",
    )
    place(surface, text("km/h", round(14 * unit), QUIET), (number.right, number.bottom - 2 * unit), "topright")

    middle = card.left + 186 * unit, card.top + 44 * unit
    _draw_wheel(surface, middle, 30 * unit, controls.steering_rad, screen.next_steering_rad)
    place(
        surface, text(steering_words(screen), round(14 * unit), QUIET), (middle[0], card.bottom - 8 * unit), "midbottom"
    )

    for index, (pedal, color) in enumerate(zip(pedals_of(screen), (AMBER, ACCENT), strict=True)):
        x = card.left + (252 + 60 * index) * unit
        frame = pygame.Rect(round(x), round(card.top + 14 * unit), round(14 * unit), round(62 * unit))
        frame.centerx = round(x + 8 * unit)
        pygame.draw.rect(surface, (255, 255, 255, 30), frame, width=1, border_radius=4)
        filled = frame.copy()
        filled.height = round(frame.height * pedal.share)
        filled.bottom = frame.bottom
        pygame.draw.rect(surface, color, filled, border_radius=4)
        if pedal.asked > 0:
            level = frame.bottom - round(frame.height * pedal.asked)
            pygame.draw.line(surface, INK, (frame.left - 3, level), (frame.right + 2, level), 2)
        place(surface, text(pedal.name, round(12 * unit), QUIET), (frame.centerx, card.bottom - 9 * unit), "midbottom")


def _draw_wheel(
    surface: pygame.Surface, middle: tuple[float, float], radius_px: float, steering_rad: float, next_rad: float
) -> None:
    """A steering wheel, turned as a car's would be: about sixteen times the front wheels' angle, here eight."""
    turn = 8 * steering_rad
    width = max(2, round(radius_px / 9))
    pygame.draw.aacircle(surface, INK, middle, round(radius_px), width)
    for angle in (math.pi / 2, math.pi * 7 / 6, -math.pi / 6):
        # The window's y axis points down, so a turn to the left (positive) lowers the angle on screen.
        direction = -angle + math.pi - turn
        end = (middle[0] + radius_px * math.cos(direction), middle[1] + radius_px * math.sin(direction))
        pygame.draw.line(surface, INK, middle, end, width)
    pygame.draw.circle(surface, INK, middle, round(radius_px / 4.5))
    mark = -math.pi / 2 - 8 * next_rad
    tip = (middle[0] + (radius_px + 7) * math.cos(mark), middle[1] + (radius_px + 7) * math.sin(mark))
    pygame.draw.circle(surface, ACCENT, tip, max(2, round(radius_px / 10)))


def _draw_way_back(surface: pygame.Surface, screen: Screen, unit: float) -> None:
    """Bottom right: the moments that can be returned to, newest at the right."""
    card = pygame.Rect(0, 0, round(330 * unit), round(50 * unit))
    card.bottomright = surface.get_width() - round(16 * unit), surface.get_height() - round(16 * unit)
    panel(surface, card)
    left, right = card.left + 16 * unit, card.right - 16 * unit
    y = card.top + 16 * unit
    pygame.draw.line(surface, QUIET, (left, y), (right, y), 1)
    now_s = screen.kept_s[-1] if screen.kept_s else 0.0
    for time_s in screen.kept_s:
        ago = now_s - time_s
        if ago <= LONGEST_WAY_BACK_S:
            x = right - (right - left) * ago / LONGEST_WAY_BACK_S
            reach = 5 if abs(time_s - round(time_s)) < 1e-6 else 2
            pygame.draw.line(surface, ACCENT, (x, y - reach * unit), (x, y + reach * unit), 1)
    pygame.draw.circle(surface, INK, (round(right), round(y)), max(3, round(4 * unit)))
    back = now_s - screen.kept_s[0] if screen.kept_s else 0.0
    place(
        surface, text(f"way back {back:.0f} s", round(13 * unit), QUIET), (left, card.bottom - 6 * unit), "bottomleft"
    )
    place(surface, text("H  help", round(13 * unit), QUIET), (right, card.bottom - 6 * unit), "bottomright")
