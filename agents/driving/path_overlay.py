"""Draws the commanded path on the road, and where the wheels now point."""

import numpy as np
import pygame

from longdwm_env.agents.driving.picture import fitted_rect
from longdwm_env.agents.driving.road_path import Ribbon, commanded_poses, held_poses, ribbon
from longdwm_env.agents.driving.screen import Screen
from longdwm_env.agents.driving.typeface import ACCENT, AMBER, INK, Color

BRAKING_MPS2 = -1.5
"""From here on the path is drawn in amber: the car brakes."""

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
        steering = round(screen.next_steering_rad, 4) if screen.driver == "you" else None
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
        pose = state.ego_poses[screen.frame]
        if moment.trajectory is not None:
            braking = float(moment.trajectory.accelerations_mps2[0]) < BRAKING_MPS2
            lane = ribbon(commanded_poses(moment.trajectory, moment.origin), pose, state.camera, picture)
            if lane is not None:
                _fill(self._overlay, lane, AMBER if braking else ACCENT)
        if steering_rad is not None:
            wheels = held_poses(state.ego.pose, steering_rad, moment.speed_mps(screen.frame))
            ahead = ribbon(wheels, pose, state.camera, picture, mark_times_s=())
            if ahead is not None:
                for edge in (ahead.left, ahead.right):
                    _dash(self._overlay, edge, ahead.distances_m)


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
