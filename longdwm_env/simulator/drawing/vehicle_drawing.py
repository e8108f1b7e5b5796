"""Drawing the vehicles: shading, lights, shadows."""

import cv2
import numpy as np

from longdwm_env.geometry.map_view.vehicle_bodies import (
    BODY,
    BRAKE,
    CARGO,
    HEAD,
    MATERIAL_RGB,
    TAIL,
    Body,
    bodies,
)
from longdwm_env.simulator.drawing.ground import headlight
from longdwm_env.simulator.drawing.lights import BRAKE_LIGHT, LEFT, RIGHT, cargo_rgb
from longdwm_env.simulator.drawing.painter import NEAR_M, SHIFT, Painter
from longdwm_env.simulator.traffic.traffic_state import EGO, Traffic
from longdwm_env.simulator.traffic.vehicle_kinds import COLOURS_RGB, SIZES_M, VEHICLE_KINDS
from longdwm_env.types import FloatArray

AMBER_RGB = (255.0, 156.0, 24.0)
"""Of indicators: the lamps of that side turn to it."""

COARSE_PX = 20.0
"""Vehicles lower than this many pixels of the drawing are drawn without small parts."""


def visible_rows(painter: Painter, traffic: Traffic) -> tuple[np.ndarray, FloatArray]:
    """Rows of the vehicles that may be in the picture, and the distance (N,) of all."""
    delta = traffic.positions_m - painter.position_m[:2]
    distance = np.hypot(delta[:, 0], delta[:, 1])
    axis = painter.rotation[2, :2]
    depth = delta @ axis
    aside = np.abs(delta @ painter.right_m[:2])
    width = painter.view.width / (2 * painter.view.focal_px[0])
    size = SIZES_M[traffic.kinds, 0]
    seen = (distance < painter.fade_m) & (depth > -size / 2) & (aside < width * np.maximum(depth, 0) * 1.1 + size + 1.0)
    seen[EGO] = False
    return np.flatnonzero(seen), distance


def draw_shadows(painter: Painter, traffic: Traffic, rows: np.ndarray) -> None:
    """Darken the ground below the vehicles."""
    if not len(rows):
        return
    sizes = traffic.sizes_m[rows]
    mask = np.zeros(painter.image.shape[:2], np.uint8)
    heading = traffic.headings_rad[rows]
    forward = np.stack([np.cos(heading), np.sin(heading)], -1)
    left = np.stack([-forward[:, 1], forward[:, 0]], -1)
    for grow, strength in ((0.28, 70), (0.04, 150)):
        a = (sizes[:, 0] / 2 + grow)[:, None] * forward
        b = (sizes[:, 1] / 2 + grow)[:, None] * left
        ground = np.stack([p + q for p, q in ((a, b), (a, -b), (-a, -b), (-a, b))], 1)
        ground = ground + traffic.positions_m[rows][:, None]
        points = painter.camera_points(np.concatenate([ground, np.full((*ground.shape[:2], 1), 0.01)], -1))
        for quad in points:
            if quad[:, 2].min() > NEAR_M:
                cv2.fillConvexPoly(mask, painter.fixed(quad), (strength,), cv2.LINE_AA, SHIFT)
    top = int(np.argmax(mask.any(1)))
    if not mask[top].any():
        return
    part = painter.image[top:]
    cv2.multiply(part, cv2.merge([255 - mask[top:]] * 3), dst=part, scale=1 / 255)


def draw_vehicle(
    painter: Painter, traffic: Traffic, row: int, lights: np.ndarray, distance_m: float, sun_rad: float
) -> None:
    """Draw one vehicle, with its row (3,) of ``looks.lights_of``."""
    body = bodies()[VEHICLE_KINDS[traffic.kinds[row]]]
    heading = float(traffic.headings_rad[row])
    cosine, sine = np.cos(heading), np.sin(heading)
    world_from_body = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    origin = np.array([*traffic.positions_m[row], 0.0])
    rotation = painter.rotation @ world_from_body
    offset = painter.rotation @ origin + painter.offset
    eye = world_from_body.T @ (painter.position_m - origin)
    facing = ((eye - body.anchors_m) * body.normals).sum(-1) > 0
    points = body.vertices_m @ rotation.T + offset
    height_px = painter.view.focal_px[1] * float(SIZES_M[traffic.kinds[row], 2]) / max(distance_m, 1.0)
    if height_px < COARSE_PX:
        facing &= ~body.fine
    chosen = np.flatnonzero(facing)
    # The cab of a lorry hides its load when it comes towards us.
    order = body.parts[chosen] if eye[0] < 0 else -body.parts[chosen]
    chosen = chosen[np.argsort(order, kind="stable")]
    colours = _colours(painter, traffic, row, body, chosen, distance_m, heading, sun_rad, lights)
    # Small parts come out of the paint around them as the vehicle comes nearer.
    shown = min((height_px - COARSE_PX) / COARSE_PX, 1.0)
    if 0.0 <= shown < 1.0:
        around = np.mean(colours, axis=0)
        for i in np.flatnonzero(body.fine[chosen]):
            colours[i] = (shown * np.array(colours[i]) + (1 - shown) * around).tolist()
    if points[:, 2].min() > NEAR_M:
        fixed = painter.fixed(points)
        for face, colour in zip(chosen, colours, strict=True):
            painter.polygon(fixed[body.faces[face]], colour)
    else:
        for face, colour in zip(chosen, colours, strict=True):
            painter.polygon_in_space(points[body.faces[face]], colour)
    _glow(painter, body, rotation, offset, eye, distance_m, lights)


def _colours(
    painter: Painter,
    traffic: Traffic,
    row: int,
    body: Body,
    faces: np.ndarray,
    distance_m: float,
    heading: float,
    sun_rad: float,
    lights: np.ndarray,
) -> list[list[float]]:
    light = painter.light
    materials = body.materials[faces]
    normals = body.normals[faces]
    colours = MATERIAL_RGB[materials].copy()
    colours[materials == BODY] = COLOURS_RGB[traffic.colours[row]]
    colours[materials == CARGO] = cargo_rgb(traffic)[row]
    sunward = normals[:, 0] * np.cos(sun_rad - heading) + normals[:, 1] * np.sin(sun_rad - heading)
    shade = 0.74 + 0.26 * normals[:, 2] + light.sun * 0.5 * sunward
    colours *= np.minimum(np.maximum(shade, 0.35), 1.25)[:, None]
    lit: FloatArray | float = 0.0
    if light.headlights:
        delta = traffic.positions_m[row] - painter.position_m[:2]
        cosine, sine = np.cos(painter.heading_rad), np.sin(painter.heading_rad)
        ahead = np.array([cosine * delta[0] + sine * delta[1] + 1.7, -sine * delta[0] + cosine * delta[1]])
        lit = 0.9 * float(headlight(ahead)) * np.clip(-normals[:, 0] * np.cos(heading - painter.heading_rad), 0.15, 1)
        lit = np.asarray(lit)[:, None]
    veil = painter.veil(distance_m)
    shades = np.minimum(colours * (light.ambient_array + lit) * (1 - veil) + veil * light.horizon_array, 255.0)
    lamps = [(materials == material, rgb) for material, rgb in _lamp_colours(light.lamps, lights[BRAKE_LIGHT]).items()]
    sides = np.sign(body.anchors_m[faces, 1]) * np.isin(materials, (TAIL, HEAD))
    lamps += [(sides == side, AMBER_RGB) for side, column in ((1, LEFT), (-1, RIGHT)) if lights[column]]
    for there, rgb in lamps:
        shades[there] = np.array(rgb) * (1 - 0.75 * veil) + 0.75 * veil * light.horizon_array
    seen: list[list[float]] = shades.tolist()
    return seen


def _lamp_colours(lamps: bool, braking: bool) -> dict[int, tuple[float, float, float]]:
    lit: dict[int, tuple[float, float, float]] = {}
    if braking:
        lit |= {TAIL: (255.0, 52.0, 38.0), BRAKE: (255.0, 52.0, 38.0)}
    elif lamps:
        lit |= {TAIL: (176.0, 22.0, 20.0)}
    if lamps:
        lit |= {HEAD: (255.0, 250.0, 226.0)}
    return lit


def _glow(
    painter: Painter,
    body: Body,
    rotation: FloatArray,
    offset: FloatArray,
    eye: FloatArray,
    distance_m: float,
    lights: np.ndarray,
) -> None:
    """Halos of lamps, and on a wet road their reflections."""
    light = painter.light
    braking, indicated = bool(lights[BRAKE_LIGHT]), [bool(lights[LEFT]), bool(lights[RIGHT])]
    if not (light.lamps or lights.any()):
        return
    dark = 1.0 - min(sum(light.ambient) / 2.4, 1.0)
    veil = painter.veil(distance_m)
    fade = 1 - max(0.0, min((distance_m / painter.fade_m - 0.7) / 0.3, 1.0))
    views = (
        (body.tail_lights_m, -1.0, (255, 40, 26), (0.75 if braking else 0.36) * (braking or light.lamps)),
        (body.head_lights_m, 1.0, (255, 244, 214), 1.0 * light.lamps),
    )
    for places, sign, own_rgb, own_power in views:
        towards = sign * eye[0] / max(float(np.linalg.norm(eye)), 0.1)
        if towards < 0.15:
            continue
        for point, amber in zip(places @ rotation.T + offset, indicated, strict=True):
            rgb, power = (AMBER_RGB, 0.75) if amber else (own_rgb, own_power)
            strength = power * towards * (0.22 + 0.78 * dark) * (1 - 0.6 * veil) * fade
            if point[2] < 1.0 or not power:
                continue
            radius = painter.view.focal_px[0] * (0.42 if sign < 0 else 0.62) / point[2] + 1.5 * painter.view.scale
            pixel = painter.pixels(point)
            painter.spot(pixel.tolist(), radius, [strength * c for c in rgb])
            if light.wet:
                ground = point + painter.rotation[:, 2] * (-1.35 * float(places[0, 2]))
                below = painter.pixels(ground)
                painter.spot(below.tolist(), 0.8 * radius, [0.5 * strength * c for c in rgb], 2.6)
