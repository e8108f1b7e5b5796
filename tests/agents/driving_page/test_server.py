import json
import time
from dataclasses import replace

import av
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from longdwm_env.agents.driving.engine.drive_options import DriveOptions
from longdwm_env.agents.driving.recording.links import link_of
from longdwm_env.agents.driving_page.orders import MAX_ORDER_CHARS
from longdwm_env.agents.driving_page.page_server import PageServer
from longdwm_env.cli import extras, main
from longdwm_env.errors import UnknownWorld

from .conftest import PATIENCE_S, Client, decoded, request, running


def test_keys_move_the_car_and_its_picture(join):
    driver = join()
    before = decoded(driver.jpeg)
    assert driver.state["status"] == "ready"
    driver.drive(1.0)
    assert driver.state["speed_kmh"] > 0
    assert driver.state["size"] == [72, 48]
    assert before.shape == decoded(driver.jpeg).shape == (48, 72, 3)
    assert not np.array_equal(before, decoded(driver.jpeg))
    assert driver.state["lane"] is not None
    driver.say("key", name="left", down=True)
    driver.until(lambda it: it.state["steering"]["degrees"] > 1, "it steers left")
    driver.say("let go")
    driver.until(lambda it: it.state["steering"]["degrees"] < 0.5, "the wheel returns")


def test_others_look_on_and_one_takes_the_wheel_when_the_driver_leaves(server, join):
    driver, other = join(), join("tester-0002")
    driver.until(lambda it: it.drives)
    assert not other.drives
    assert "wheel" in other.ask("key", "refused", name="up", down=True)["why"]
    assert "not free" in other.ask("take seat", "refused")["why"]
    driver.drive(0.5)
    shown = other.until(lambda it: it.time_s >= driver.time_s and it.state, "the other sees the same")
    assert shown["world"] == driver.state["world"]
    driver.say("key", name="up", down=True)
    driver.say("leave seat")
    driver.until(lambda it: not it.drives)
    other.say("take seat")
    other.until(lambda it: it.drives)
    driver.close()
    other.drive(0.5)
    other.until(lambda it: it.state["pedals"][1][2] == 0, "the key that the driver had down is up")


def test_same_tab_twice_is_one_viewer(server, join):
    first, second = join(), join()
    with pytest.raises(ConnectionClosed) as closed:
        first.until(lambda it: False)
    assert closed.value.rcvd.code == 4001
    assert len(server.audience.seats.viewers) == 1
    second.until(lambda it: it.drives)


def test_slow_viewer_gets_the_newest_picture_and_no_queue(join):
    driver, slow = join(), join("tester-0002")
    slow.until(lambda it: it.state.get("n", 0) >= driver.state["n"])
    slow.acknowledge = False
    had = len(slow.states)
    driver.drive(2.0)
    time.sleep(0.2)
    while slow.hear(0.2):
        pass
    assert len(slow.states) - had <= 2
    slow.acknowledge = True
    slow.say("seen", n=slow.state["n"])
    slow.until(lambda it: it.time_s >= driver.time_s - 0.1, "the newest follows the last one at once")
    assert len(slow.states) - had <= 4 + 12


def test_time_stands_still_while_no_viewer_is_there(server, join):
    driver = join()
    driver.say("key", name="up", down=True)
    driver.until(lambda it: it.time_s > 0.3)
    driver.close()
    end = time.monotonic() + PATIENCE_S
    while server.audience.seats.viewers and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.3)
    at = server.room._session.trip.present.number
    time.sleep(0.5)
    assert server.room._session.trip.present.number == at


def test_link_gives_back_exactly_this_drive(server, join):
    driver = join()
    driver.say("press", command="restart scene")
    driver.until(lambda it: it.state["status"] == "ready")
    driver.drive(2.0)
    driver.say("press", command="back 1 s")
    driver.until(lambda it: it.state["status"] == "waiting")
    driver.say("key", name="right", down=True)
    driver.drive(0.7)
    driver.say("let go")
    driver.say("press", command="pause")
    driver.until(lambda it: it.state["status"] == "paused")
    before = server.room._session.trip.present
    link = driver.ask("link", "link")["link"]
    driver.say("replay", link=link)
    driver.until(lambda it: "replay ends" in ((it.state.get("note") or {}).get("text", "")), "it is driven again")
    after = server.room._session.trip.present
    assert after is not before
    assert after.number == before.number
    assert after.state.ego == before.state.ego
    assert np.array_equal(after.frames, before.frames)


def test_links_of_strangers_open_nothing_that_is_not_offered(server, join):
    driver = join()
    journal = server.room._session.trip.journal
    for changes, scenes in (
        ({"world": "/etc"}, None),
        ({}, "/etc/passwd"),
        ({}, "photo-0123456789abcdef"),
        ({"image_size": (4096, 4096)}, "source"),
        ({"steps": [{"do": "world", "world": "http://evil.example/model"}]}, "source"),
    ):
        link = link_of(replace(journal, **changes), scenes)
        assert driver.ask("replay", "refused", link=link)["why"]
    assert driver.ask("replay", "refused", link="nonsense")["why"]
    missing = link_of(replace(journal, scene="nowhere.png", steps=[]), "source")
    driver.say("replay", link=missing)
    driver.until(lambda it: "nowhere.png" in ((it.state.get("note") or {}).get("text", "")), "it says why")
    driver.drive(0.3)


def test_recording_can_be_fetched_and_nothing_else_of_the_folder(server, join):
    driver = join()
    driver.say("press", command="record")
    driver.until(lambda it: it.state["recording"])
    driver.drive(1.0)
    driver.say("press", command="record")
    files = driver.until(
        lambda it: [one["files"] for one in it.letters if one["is"] == "recordings" and one["files"]], "it is written"
    )[-1]
    video, replay = sorted(files, key=lambda name: not name.endswith(".mp4"))
    status, headers, body = request(server, "GET", f"/recordings/{video}")
    assert status == 200
    assert "attachment" in headers["content-disposition"]
    path = server.room.options.out / "again.mp4"
    path.write_bytes(body)
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 10
    assert json.loads(request(server, "GET", f"/recordings/{replay}")[2])["format"] == "longdwm-drive"
    assert request(server, "GET", "/recordings/again.mp4")[0] == 404
    (server.room.options.out / video).unlink()
    (server.room.options.out / video).symlink_to(__file__)
    assert request(server, "GET", f"/recordings/{video}")[0] == 404


def say_and_wait(viewer, message):
    viewer._socket.send(message)
    viewer.until(lambda it: False)


def test_noise_and_floods_hurt_nobody_else(server, join):
    driver = join()
    stranger = join("tester-0666")
    rng = np.random.default_rng(0)
    for _ in range(50):
        stranger._socket.send(rng.bytes(30).decode("latin-1"))
    assert stranger.letter("refused")
    stranger._socket.send(json.dumps({"do": "link"}) + " " * (MAX_ORDER_CHARS + 10))
    stranger.until(lambda it: "characters" in it.letters[-1].get("why", ""), "it says that this is too long")

    def flood():
        for _ in range(100):
            for _ in range(200):
                stranger.say("seen", n=1)
            stranger.hear(0)

    with pytest.raises(ConnectionClosed):
        flood()
    binary = join("tester-0667")
    large = join("tester-0668")
    # The server may have hung up before all of it is sent.
    for one, message in ((binary, b"\0" * 10), (large, "x" * 2_000_000)):
        with pytest.raises(ConnectionClosed):
            say_and_wait(one, message)
    driver.drive(0.5)


def test_first_scene_that_cannot_be_opened_ends_the_server_with_the_reason(tmp_path):
    options = DriveOptions(world=str(tmp_path / "no-such-world"), out=tmp_path)
    server = PageServer(options, port=0)
    with pytest.raises(UnknownWorld, match="no-such-world"):
        server.run()


def test_fault_of_a_world_ends_neither_the_drive_nor_the_server(folder, monkeypatch):
    options = DriveOptions(scene=str(folder / "street.png"), image_size=(32, 48), out=folder / "faulty")
    with running(PageServer(options, port=0)) as server:
        driver = Client(server).opened()
        driver.drive(2.0)
        generator = server.room._session.generator
        world = generator.world("warp")
        monkeypatch.setattr(world, "advance_undrawn", lambda *given: 1 / 0)
        monkeypatch.setattr(world, "advance", lambda *given: 1 / 0)
        driver.say("key", name="up", down=True)
        driver.until(lambda it: "ZeroDivisionError" in ((it.state.get("note") or {}).get("text", "")), "it says so")
        driver.say("let go")
        monkeypatch.undo()
        driver.say("press", command="back 1 s")
        driver.until(lambda it: it.state["status"] == "waiting")
        driver.drive(0.3)
        driver.close()


def test_missing_extra_is_one_line_before_anything_is_done(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(extras, "is_installed", lambda name: name != "uvicorn")
    assert main(["serve", "--out", str(tmp_path / "drives")]) == 2
    told = capsys.readouterr().err.strip()
    assert "\n" not in told
    assert "uvicorn" in told
    assert "longdwm[serve]" in told
    assert not (tmp_path / "drives").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--port", "70000"], "--port"),
        (["--token-file", "nowhere.txt"], "nowhere.txt"),
        (["--replay", "nowhere.json"], "nowhere.json"),
        (["--scene", "nowhere.jpg"], "nowhere.jpg"),
    ],
)
def test_mistakes_are_one_line(words, why, capsys):
    assert main(["serve", "--no-browser", *words]) == 2
    told = capsys.readouterr().err.strip()
    assert "\n" not in told
    assert why in told


def test_three_drives_of_one_moment_are_shown_side_by_side_and_one_goes_on(server, join):
    driver = join()
    driver.say("press", command="restart scene")
    driver.until(lambda it: it.state["status"] == "ready")
    driver.drive(0.5)
    driver.say("branch")
    # A scene that opens says that there are no such drives yet.
    said = driver.until(lambda it: [one for one in it.letters if one["is"] == "branches" and one["ways"]], "three")[-1]
    assert [way["name"] for way in said["ways"]] == ["left", "straight on", "right"]
    assert driver.until(lambda it: it.state["status"] == "paused")
    at_s = driver.time_s
    for index, way in enumerate(said["ways"]):
        sheet = decoded(request(server, "GET", f"/branches/{said['number']}/{index}")[2])
        rows = -(-way["frames"] // said["columns"])
        assert sheet.shape == (rows * said["height"], said["columns"] * said["width"], 3)
    driver.say("go on", way=2)
    driver.until(lambda it: it.time_s > at_s + 1, "it stands at the end of that drive")
    assert driver.ask("go on", "refused", way=0)["why"]
    driver.drive(0.3)


def test_rewind_goes_back_by_key_and_by_time(join):
    driver = join()
    driver.drive(2.5)
    gone_s = driver.time_s
    driver.say("press", command="back 1 s")
    driver.until(lambda it: it.state["status"] == "waiting", "it stands at the earlier moment")
    assert driver.time_s <= gone_s - 0.9
    kept = driver.state["kept_s"]
    driver.say("back", to_s=kept[3])
    driver.until(lambda it: it.time_s == kept[3], "the moment that was asked for")
