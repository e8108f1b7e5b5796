import numpy as np
import pytest

from longdwm_env import InvalidConfig, Trajectory
from longdwm_env.io.human_window import Window, picture
from longdwm_env.io.overlay import PATH_COLOUR, draw_instruments, draw_path


def arc(turn, count=24):
    headings = np.linspace(0, turn, count + 1)[1:]
    return np.column_stack([np.linspace(0.5, 15, count), np.cumsum(np.sin(headings)) * 0.6, headings])


def painted(canvas):
    """How green each column of the lower half is."""
    return canvas[canvas.shape[0] // 2 :, :, 1].astype(int).sum(axis=0)


def test_rgb_array_is_the_newest_frame_and_nothing_else(make, kit):
    env = make(render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    np.testing.assert_array_equal(env.render(), observation["frames"][-1])
    observation, *_ = env.step(kit.ahead())
    np.testing.assert_array_equal(env.render(), observation["frames"][-1])
    env.render()[:] = 0
    np.testing.assert_array_equal(env.render(), observation["frames"][-1])


@pytest.mark.parametrize(("period_s", "rate"), [(1.0, 1.0), (0.5, 2.0), (1 / 12, 12.0)])
def test_a_recording_lasts_as_long_as_the_drive(make, period_s, rate):
    assert make(control_period_s=period_s).metadata["render_fps"] == pytest.approx(rate)


def test_the_path_is_drawn_where_the_car_will_go(kit):
    camera = kit.a_camera((80, 120))
    pictures_ = []
    for turn in (0.0, 0.8, -0.8):
        canvas = np.zeros((320, 480, 3), np.uint8)
        draw_path(canvas, camera, arc(turn))
        pictures_.append(canvas)
        assert canvas[:140].max() == 0, "nothing is drawn above the horizon"
        assert canvas.max() > 60
        strongest = canvas.reshape(-1, 3)[canvas[..., 1].argmax()]
        np.testing.assert_allclose(strongest / strongest[1], np.array(PATH_COLOUR) / PATH_COLOUR[1], atol=0.05)
    straight, left, right = (painted(canvas) for canvas in pictures_)
    columns = np.arange(480)
    centre = [float((columns * weight).sum() / weight.sum()) for weight in (left, straight, right)]
    assert centre[0] < 225 < centre[1] < 255 < centre[2]
    np.testing.assert_allclose(straight, straight[::-1], atol=straight.max() * 0.05)
    behind = np.column_stack([np.linspace(-1, -30, 24), np.zeros(24), np.zeros(24)])
    for odd in (np.zeros((24, 3)), np.zeros((0, 3)), behind, arc(np.pi * 4)):
        draw_path(canvas, camera, odd)


def test_instruments_are_written_into_the_corners():
    canvas = np.full((320, 480, 3), 90, np.uint8)
    draw_instruments(canvas, 10.0, "warp", 11.9, 3.0)
    changed = (canvas != 90).any(axis=2)
    corners = [changed[:80, :160], changed[:80, 320:], changed[240:, :160], changed[240:, 320:]]
    assert all(corner.any() for corner in corners)
    assert not changed[100:220].any()
    faster = np.full((320, 480, 3), 90, np.uint8)
    draw_instruments(faster, 20.0, "warp", 11.9, 3.0)
    assert (faster != canvas)[240:, :160].any()
    assert not (faster != canvas)[:240].any()
    draw_instruments(canvas, 10.0, "a world with an é", None, 3.0)


def test_each_picture_shows_what_is_left_of_the_plan(make, kit):
    env = make("warp", image_size=(60, 90), action_mode="trajectory")
    env.reset(seed=0)
    before = env.unwrapped.get_state()
    speed = before.ego.speed_mps
    _, _, _, _, info = env.step(kit.ahead(speed))
    plan = info["trajectory"]
    trajectory = Trajectory(
        plan["waypoints_m"],
        plan["poses"],
        plan["speeds_mps"],
        np.zeros(24),
        np.zeros(24),
        plan["waypoints_m"],
    )
    state = env.unwrapped.get_state()
    assert len(state.frames) == 12
    shown, bare = (
        [picture(state, plan, index, (240, 360), 12.0) for index in range(12)] for plan in (trajectory, None)
    )
    drawn = [(a != b)[120:200].any(axis=2).sum() for a, b in zip(shown, bare, strict=True)]
    assert min(drawn) > 100


def test_the_human_window_shows_every_frame_of_the_period(make, kit):
    pygame = pytest.importorskip("pygame")
    env = make(render_mode="human", control_period_s=0.25)
    env.reset(seed=0)
    assert env.render() is None
    env.step(kit.ahead())
    window = env.unwrapped._window
    assert len(window._shown_at) == 4
    assert 0 < window.frames_per_s < 16, "no faster than time goes by"
    assert pygame.display.get_surface().get_size() == (960, 640)
    env.close()
    assert pygame.display.get_surface() is None


def test_a_window_that_the_user_closes_stays_closed_and_the_drive_goes_on(make, kit):
    pygame = pytest.importorskip("pygame")
    env = make(render_mode="human", control_period_s=0.25)
    env.reset(seed=0)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    env.step(kit.ahead())
    assert not env.unwrapped._window.is_open
    env.step(kit.ahead())
    env.reset()
    env.close()


def test_without_a_display_the_reset_fails_whole(make, monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonexistent")
    env = make(render_mode="human")
    with pytest.raises(InvalidConfig, match="display"):
        env.reset(seed=0)
    with pytest.raises(InvalidConfig, match="display"):
        Window("nowhere", (40, 60))
