"""Draws the commanded path on the road, and where the wheels now point."""

import numpy as np
import pygame

from longdwm_env.agents.driving.instruments.road_path import Ribbon, on_road
from longdwm_env.agents.driving.window.screen import Screen
from longdwm_env.agents.driving.window.typeface import ACCENT, AMBER, INK, Color
from longdwm_env.agents.driving.window.upscaling import fitted_rect

FAINTEST, STRONGEST = 24, 76
"""Opacity of the path at its far end and at its near one, of 255."""

DASH_M = 1.0


class PathOverlay:
    """Keeps what it drew last, as long as nothing about it changes."""

    def __init__(self) -> None:
        self._drawn_for: tuple[object, ...] = ()
        self._overlay: pygame.Surface | None = None
        self._at = (0, 0)

    def draw(self, surface: pygame.Surface, screen: Screen) -> None:
        """Put the path on the picture that fills ``surface``."""
        assert screen.moment is not None
        steering = screen.shown_steering_rad
        wanted = (id(screen.moment), screen.frame, surface.get_size(), steering)
        if wanted != self._drawn_for:
            self._drawn_for = wanted
            self._render(surface.get_size(), screen, steering)
        if self._overlay is not None:
            surface.blit(self._overlay, self._at)

    def _render(self, window_px: tuple[int, int], screen: Screen, steering_rad: float | None) -> None:
        moment = screen.moment
        assert moment is not None
        state = moment.state
        left, top, width, height = fitted_rect(state.image_size, window_px)
        scale = width / state.image_size[1]
        # The road lies below the horizon: nothing is drawn above the principal point's row.
        horizon = int(max(0.0, min(state.camera.intrinsics.cy_px * scale - 0.05 * height, height - 1)))
        self._at = (left, top + horizon)
        self._overlay = pygame.Surface((width, height - horizon), pygame.SRCALPHA)
        picture = (0.0, -float(horizon), scale)
        road = on_road(moment, screen.frame, steering_rad, picture)
        if road.lane is not None:
            _fill(self._overlay, road.lane, AMBER if road.braking else ACCENT)
        if road.wheels is not None:
            for edge in (road.wheels.left, road.wheels.right):
                _dash(self._overlay, edge, road.wheels.distances_m)


def _fill(overlay: pygame.Surface, lane: Ribbon, color: Color) -> None:
    farthest = max(float(lane.distances_m[-1]), 1.0)
    for i in range(len(lane.left) - 1):
        # It fades towards its end, which is the least certain.
        alpha = FAINTEST + round((STRONGEST - FAINTEST) * (1 - lane.distances_m[i] / farthest))
        corners = [lane.left[i], lane.left[i + 1], lane.right[i + 1], lane.right[i]]
        pygame.draw.polygon(overlay, (*color, alpha), [tuple(corner) for corner in corners])
    for edge in (lane.left, lane.right):
        pygame.draw.aalines(overlay, (*color, 240), False, [tuple(point) for point in edge])
    for one, other in lane.marks:
        pygame.draw.aaline(overlay, (*INK, 170), tuple(one), tuple(other))


def _dash(overlay: pygame.Surface, edge: np.ndarray, distances_m: np.ndarray) -> None:
    for i in range(len(edge) - 1):
        if int(distances_m[i] / DASH_M) % 2 == 0:
            pygame.draw.aaline(overlay, (*INK, 210), tuple(edge[i]), tuple(edge[i + 1]))
