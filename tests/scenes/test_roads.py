"""Roads that are said of pictures: their geometry, their words, and what a photograph gains by one."""

import dataclasses
import pickle
import warnings

import cv2
import gymnasium as gym
import numpy as np
import pytest

import longdwm_env  # noqa: F401 - registers the environment
from longdwm_env.episodes.starts import AssumedCameraWarning, AssumedSpeedWarning, camera_for_want_of_one
from longdwm_env.errors import InvalidConfig, InvalidScene
from longdwm_env.geometry.camera import assumed_camera, forward_mounting, project_points
from longdwm_env.geometry.layout import CENTRE_LINE, LAYOUT_RGB, ROAD, DrawnRoadMap, draw_layout
from longdwm_env.scenes import Road, open_scenes
from longdwm_env.scenes.made_roads import HorizonNotFoundWarning, with_words
from longdwm_env.scenes.start_motion import ASSUMED_SPEED_MPS
from longdwm_env.scenes.strip_road import StripRoad
from longdwm_env.scenes.vanishing import vanishing_point
from longdwm_env.types import Camera, Intrinsics

SIZE = (96, 144)


def strip(curvature=0.0, **changed):
    return StripRoad(**{
        "curvature_per_m": curvature, "width_m": 3.5, "offset_m": 0.4, "lanes": 2, "oncoming": 1, "lane": 1,
        "side": "right", **changed,
    })  # fmt: skip


@pytest.fixture
def street(tmp_path):
    """A photograph of a straight road under a horizon that is not in the middle; its path and its camera."""
    camera = Camera(Intrinsics.from_fov(np.radians(65), (320, 480)), forward_mounting((1.7, 0.0, 1.4), 0.12))
    road = strip(width_m=3.2, offset_m=-0.5, lanes=1)
    layout = road.layout(np.zeros(2), 200.0)
    picture = draw_layout(layout, camera, np.zeros(3))
    path = tmp_path / "street.png"
    cv2.imwrite(str(path), picture[..., ::-1])
    return path, camera


@pytest.mark.parametrize("curvature", [0.0, 0.02, -0.02])
def test_lanes_and_their_directions(curvature):
    road = strip(curvature)
    assert isinstance(road, DrawnRoadMap)
    own, oncoming = road.places(np.array([20.0, 20.0]), np.array([0.3, 7.2]))
    heading = 20.0 * curvature
    fit = road.fit_lanes(np.array([[*own, heading + 0.05], [*oncoming, heading + np.pi], [0.0, 40.0, 0.0]]))
    np.testing.assert_allclose(fit.lateral_m, [0.3, -0.2, np.nan], atol=1e-9)
    np.testing.assert_allclose(fit.heading_error_rad[:2], [0.05, 0.0], atol=1e-9)
    edges = road.places(np.full(4, 10.0), np.array([-2.3, -2.2, 9.2, 9.3]))
    assert road.drivable(edges).tolist() == [False, True, True, False]


def test_left_hand_traffic_is_the_mirror_image():
    right, left = strip(offset_m=0.0), strip(offset_m=0.0, side="left")
    np.testing.assert_allclose(left.centres_m, -right.centres_m)
    # A car on the wrong side is measured against the lane of the right direction.
    assert left.fit_lanes(np.array([[5.0, -7.0, 0.0]])).lateral_m[0] == pytest.approx(-3.5)


@pytest.mark.parametrize("curvature", [0.0, 0.05])
def test_the_layout_shows_asphalt_where_the_map_is_drivable(curvature):
    road, camera = strip(curvature), assumed_camera(SIZE)
    picture = draw_layout(road.layout(np.zeros(2), 3000.0), camera, np.zeros(3))
    on, off = road.places(np.full(2, 12.0), np.array([1.0, -3.0]))
    for place, wanted in ((on, True), (off, False)):
        (column, row), _ = (part[0] for part in project_points(camera, np.array([[*place, 0.0]])))
        shown = picture[round(row), round(column)].astype(int)
        assert (np.abs(shown - LAYOUT_RGB[ROAD]).max() < 12) == wanted
    kinds = road.layout(np.array([500.0, 0.0]), 50.0).kinds if curvature == 0 else [CENTRE_LINE]
    assert CENTRE_LINE in kinds  # a straight road has no end


@pytest.mark.parametrize(
    ("words", "road"),
    [
        ("straight", Road()),
        ("-0.02", Road(curvature=-0.02)),
        ("straight, lanes=2, lane=2, side=left, cars=3", Road(lanes=2, lane=2, side="left", cars=3)),
        ("curvature=0.01,horizon=0.4,height=1.2,fov=80", Road(0.01, horizon=0.4, height=1.2, fov=80)),
    ],
)  # fmt: skip
def test_words_for_a_road(words, road):
    assert Road.parse(words) == road


@pytest.mark.parametrize(
    "words",
    ["", "bent", "straight,lane=3", "straight,width=wide", "0.5", "nan", "straight,cars=1.5", "lanes=2,flavour=1"],
)
def test_words_that_make_no_road(words):
    with pytest.raises(InvalidConfig):
        Road.parse(words)


def test_words_beside_a_path(photo, tmp_path):
    said = with_words(str(photo), "straight,lanes=2", 6.5)
    source = open_scenes(said)
    scene = source.scene(0)
    assert (source.name, scene.key, scene.start.speed_mps) == (said, photo.name, 6.5)
    assert scene.road_map.lanes == 2
    assert pickle.loads(pickle.dumps(source)).scene(0).road_map == scene.road_map
    assert open_scenes(photo, road=Road(lanes=2)).scene(0).road_map.lanes == 2
    really = tmp_path / "what?road=straight.png"
    photo.rename(really)
    assert open_scenes(really).scene(0).road_map is None, "a file of that name is that file"
    with pytest.raises(InvalidConfig, match="road and speed_mps"):
        open_scenes(f"{tmp_path}/photo.png?rode=straight")


def test_no_road_for_scenes_with_one():
    with pytest.raises(InvalidConfig, match="built-in"):
        open_scenes(None, road="straight")
    with pytest.raises(InvalidConfig, match="from 0 to 70"):
        open_scenes("photo.jpg", speed_mps=200.0)
    with pytest.raises(InvalidScene, match="map of its own"):
        open_scenes(open_scenes(None), road=Road()).scene(7)


def test_the_camera_and_the_lane_are_found_in_the_picture(street):
    path, camera = street
    found = open_scenes(path, road="straight").scene(0)
    for distance in (8.0, 30.0):
        seen, true = (project_points(one, np.array([[distance, 0.0, 0.0]]))[0] for one in (found.camera, camera))
        np.testing.assert_allclose(seen, true, atol=6.0)
    assert found.road_map.width_m == pytest.approx(3.2, abs=0.3)
    assert found.road_map.offset_m == pytest.approx(-0.5, abs=0.25)
    given = open_scenes(path, road="straight,width=3,offset=0.1,horizon=0.3,height=1.1").scene(0)
    assert (given.road_map.width_m, given.road_map.offset_m) == (3, 0.1)
    assert given.camera.mounting.translation_m[2] == 1.1


def test_where_no_line_leads_anywhere_it_is_said(photo):
    with pytest.warns(HorizonNotFoundWarning, match="horizon="):
        open_scenes(photo, road="straight").scene(0)


def test_a_photograph_with_a_road_has_a_lane_rewards_and_traffic(street):
    path, _ = street
    env = gym.make("LongDWM-v0", world="warp", scenes=str(path), road="straight,cars=2", speed_mps=6.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", AssumedCameraWarning)
        warnings.simplefilter("error", AssumedSpeedWarning)
        obs, _ = env.reset(seed=0)
    assert obs["ego"][0] == 6
    *_, info = env.step(np.array([[3, 0.0], [6, 0], [9, 0], [12, 0]], np.float32))
    assert {"lane_keeping", "drivable_area"} <= set(info["reward_terms"])
    _, _, terminated, _, info = env.step(np.array([[3, -1.5], [6, -4], [9, -7], [12, -9]], np.float32))
    assert terminated
    assert info["termination"] == "off_road"
    cars = env.unwrapped.scene.actors
    assert cars.speeds_mps.tolist() == [[6, 6]]
    assert np.cos(cars.poses[0, :, 2]).round().tolist() == [1, -1]


def test_a_lane_keeper_drives_where_a_road_is_said_and_says_what_is_missing_elsewhere(street):
    from longdwm_env.agents.policies.privileged import LaneKeeping
    from longdwm_env.agents.policy import PolicyContext

    path, _ = street
    env = gym.make("LongDWM-v0", world="warp", scenes=str(path), road="0.02", speed_mps=8.0)
    keeper = LaneKeeping(PolicyContext.of(env))
    keeper.reset(*env.reset(seed=0))
    for _ in range(5):
        _obs, _, terminated, _, _info = env.step(keeper.act(None, {}))
        assert not terminated
    assert env.unwrapped.get_state().ego.heading_rad > 0.5, "it followed the bend"
    plain = gym.make("LongDWM-v0", world="warp", scenes=str(path))
    with pytest.warns(AssumedSpeedWarning, match=f"{ASSUMED_SPEED_MPS:g} m/s"):
        plain.reset(seed=0)
    with pytest.raises(InvalidConfig, match="--road straight"):
        LaneKeeping(PolicyContext.of(plain)).reset(None, {})


def test_cars_on_a_said_road_react_to_the_ego(street):
    from longdwm_env.models.conditioning.road_users import RoadUsers
    from longdwm_env.traffic.meanwhile import react
    from longdwm_env.types import WorldState

    path, _ = street
    scene = open_scenes(path, road="straight,cars=2,offset=0", speed_mps=8.0).scene(0)
    scene = dataclasses.replace(scene, camera=scene.camera.fitted(SIZE))
    begun = RoadUsers(shown=True).begin(scene, scene.camera)
    assert begun.values["traffic"] == "reactive"
    state = WorldState({**begun.arrays, "track": np.zeros((1, 3))}, begun.values, begun.actors)
    free = react(state, np.zeros((24, 3)), np.zeros(24)).tracks
    ahead, oncoming = free.poses[:, 0, 0], free.poses[:, 1, 0]
    assert ahead[-1] - ahead[0] == pytest.approx(16, abs=1)
    assert oncoming[-1] - oncoming[0] == pytest.approx(-16, abs=1)
    in_the_way = np.tile([oncoming[0] - 20.0, free.poses[0, 1, 1], 0.0], (24, 1))
    braking = react(state, in_the_way, np.zeros(24)).tracks
    assert braking.speeds_mps[-1, 1] < 0.7 * free.speeds_mps[-1, 1], "it brakes for a car that stands in its lane"


def test_without_a_camera_the_horizon_is_that_of_the_picture(street):
    path, true = street
    env = gym.make("LongDWM-v0", world="warp", scenes=str(path), image_size=(96, 144), speed_mps=8.0)
    with pytest.warns(AssumedCameraWarning, match="lines meet"):
        env.reset(seed=0)
    far = np.array([[1e5, 0.0, 0.0]])
    cameras = (env.unwrapped.get_state().camera, true.fitted((96, 144)))
    seen = [project_points(camera, far)[0][0] for camera in cameras]
    np.testing.assert_allclose(*seen, atol=2.5)


@pytest.mark.filterwarnings("ignore::longdwm_env.AssumedCameraWarning")
def test_lines_that_are_gone_from_a_small_picture_say_the_horizon(tmp_path):
    """As of many photographs: lines a few pixels wide on 1,024 are none on 144."""
    picture = np.full((640, 1024, 3), 120, np.uint8)
    horizon = 0.7 * 640
    for below in (-900, -350, 250, 700):
        cv2.line(picture, (512, round(horizon)), (512 + below, 639), (165, 165, 165), 3, cv2.LINE_AA)
    cv2.imwrite(str(tmp_path / "photo.png"), picture)
    scene = open_scenes(tmp_path / "photo.png").scene(0)
    assert vanishing_point(scene.log.images(0, 1, assumed_camera((96, 144)))[0]) is None
    camera = camera_for_want_of_one(scene, (96, 144))
    ((_, row),) = project_points(camera, np.array([[1e5, 0.0, 0.0]]))[0]
    assert row == pytest.approx(0.7 * 96 - 0.5, abs=2)


@pytest.mark.parametrize("beside", ["trees", "houses", "buildings"])
@pytest.mark.parametrize("curvature", [0.0, 0.02, -0.1])
def test_what_stands_beside_a_road_is_not_on_it_and_goes_on(beside, curvature):
    road = strip(curvature, beside=beside)
    layer = road.scenery(np.zeros(2), 200.0)
    assert len(layer.kinds) > 20
    reach = np.where(layer.sizes_m[:, 1] > 2.5, layer.sizes_m[:, 1] / 2, 0.0)
    _, left = road.along(layer.positions_m.astype(float))
    low, high = road.edges_m
    trunks = layer.bases_m == 0
    assert ((left + reach < low) | (left - reach > high))[trunks].all()
    again = road.scenery(np.array([30.0, 0.0]), 100.0)
    known = {tuple(place) for place in layer.positions_m.round(2).tolist()}
    assert {tuple(place) for place in again.positions_m.round(2).tolist()} & known


def test_beside_a_road_there_may_be_nothing_and_only_what_is_known():
    assert strip(beside="nothing").scenery(np.zeros(2), 100.0) is None
    assert Road.parse("straight,beside=houses").beside == "houses"
    with pytest.raises(InvalidConfig, match="trees, houses, buildings, nothing"):
        Road.parse("straight,beside=castles")
