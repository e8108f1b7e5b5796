"""One frame of the front camera: sky, ground, and everything that stands on it from far to near."""

from functools import partial
from operator import itemgetter

import cv2
import numpy as np

from longdwm_env.simulator.conditions import Conditions
from longdwm_env.simulator.drawing.ground import draw_ground
from longdwm_env.simulator.drawing.lights import lights_of
from longdwm_env.simulator.drawing.painter import Painter
from longdwm_env.simulator.drawing.palette import light_of
from longdwm_env.simulator.drawing.rain import draw_rain
from longdwm_env.simulator.drawing.rays import view_of
from longdwm_env.simulator.drawing.roadside_drawing import drawings, props_of
from longdwm_env.simulator.drawing.sky import draw_sky, sun_azimuth
from longdwm_env.simulator.drawing.vehicle_drawing import draw_shadows, draw_vehicle, visible_rows
from longdwm_env.simulator.roads.road_kinds import RoadPlan
from longdwm_env.simulator.traffic.traffic_state import EGO, Traffic, ego_pose
from longdwm_env.types import Camera, FloatArray, Images


def draw_frame(
    road: RoadPlan,
    seed: int,
    traffic: Traffic,
    frame: int,
    conditions: Conditions,
    camera: Camera,
    pose: FloatArray | None = None,
) -> Images:
    """Draw what the camera sees.

    Args:
        road: the road of the scene.
        seed: of the scene; it decides how everything looks that the road does not.
        traffic: the vehicles; row 0 is the ego and is not drawn.
        frame: number of the frame, for what changes with time alone, such as rain.
        conditions: weather and time of day.
        camera: on the ego.
        pose: (3,) of the ego's rear axle; that of the traffic's row 0 unless given.

    Returns:
        uint8 RGB (H, W, 3) of the camera's size.
    """
    view = view_of(camera)
    pose = ego_pose(traffic) if pose is None else pose
    image = np.empty((view.height, view.width, 3), np.uint8)
    draw_sky(image, view, seed, float(pose[2]), conditions, road.surroundings)
    draw_ground(image, view, seed, road.kind, pose, conditions, road.view_m)
    light = light_of(conditions)
    painter = Painter(image, view, pose, light, road.view_m)
    sun = sun_azimuth(seed)
    rows, distances = visible_rows(painter, traffic)
    draw_shadows(painter, traffic, rows)
    things = drawings(painter, props_of(seed, road.kind, conditions))
    lights = lights_of(road.table, traffic, frame)
    for row in rows.tolist():
        distance = float(distances[row])
        things.append((distance, partial(draw_vehicle, painter, traffic, row, lights[row], distance, sun)))
    for _, draw in sorted(things, key=itemgetter(0), reverse=True):
        draw()
    if conditions.weather == "rain":
        brightness = {"day": 0.62, "dusk": 0.5, "night": 0.3}[conditions.time_of_day]
        draw_rain(image, view, seed, frame, float(traffic.speeds_mps[EGO]), brightness)
    if view.scale > 1:
        size = (view.width // view.scale, view.height // view.scale)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return image
