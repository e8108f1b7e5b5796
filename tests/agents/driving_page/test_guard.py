import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from longdwm_env.agents.driving.engine.drive_options import DriveOptions
from longdwm_env.agents.driving_page.guard import HEADERS
from longdwm_env.agents.driving_page.page_server import PAGE, PageServer
from longdwm_env.errors import InvalidConfig

from .conftest import request

PATHS = ["/", "/page.js", "/scenes", "/thumbnails/builtin/0", "/recordings/a.mp4", "/branches/1/0", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_told_without_the_token(server, path):
    for headers in ({}, {"Cookie": f"longdwm-{server.port}=wrong"}, {"Authorization": "Bearer wrong"}):
        status, answered, body = request(server, "GET", path, token=False, **headers)
        assert status == 401
        assert server.token.encode() not in body
        assert {name.lower() for name in HEADERS} <= set(answered)


def test_address_with_the_token_gives_a_cookie_and_forgets_the_token(server):
    status, headers, _ = request(server, "GET", f"/?token={server.token}", token=False)
    assert (status, headers["location"]) == (303, "/")
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=lax" in headers["set-cookie"]
    cookie = headers["set-cookie"].split(";")[0]
    status, headers, body = request(server, "GET", "/", token=False, Cookie=cookie)
    assert status == 200
    assert b"LongDWM" in body
    assert "default-src 'none'" in headers["content-security-policy"]
    assert request(server, "GET", "/?token=wrong", token=False)[0] == 401
    assert request(server, "GET", f"/scenes?token={server.token}", token=False)[0] == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8600", "127.0.0.1.evil.example", "", "[::1", "a b"])
def test_other_hosts_are_turned_away_whatever_they_bring(server, host):
    assert request(server, "GET", "/", Host=host)[0] in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9000", "LOCALHOST.", "[::1]:1"])
def test_this_machine_may_be_called_what_it_is_called(server, host):
    assert request(server, "GET", "/", Host=host)[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", ""])
def test_other_origins_neither_send_nor_listen(server, origin):
    assert request(server, "POST", "/photos", b"x", Origin=origin)[0] == 403
    with pytest.raises(InvalidStatus) as refused:
        connect(
            f"ws://127.0.0.1:{server.port}/drive?viewer=stranger-1",
            origin=origin or None,
            additional_headers={"Cookie": f"longdwm-{server.port}={server.token}"},
        )
    assert refused.value.response.status_code == 403
    assert not server.audience.seats.viewers


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/recordings/..%2f..%2fstreet.png",
        "/recordings/%2fetc%2fpasswd",
        "/recordings/photos",
        "/thumbnails/photo/..%2fstreet",
        "/thumbnails/source/-1",
        "/thumbnails/source/99",
        "/thumbnails/builtin/99999999999999999999",
        "/index.html",
        "/branches/1/0",
        "/branches/-1/0",
        "//evil.example/",
    ],
)
def test_no_path_leads_out_of_what_is_offered(server, path):
    assert request(server, "GET", path)[0] == 404


def test_page_takes_nothing_from_elsewhere(server):
    for name in PAGE:
        status, headers, body = request(server, "GET", f"/{name}")
        assert status == 200
        assert headers["x-content-type-options"] == "nosniff"
        words = body.decode()
        assert "http://" not in words.replace("http://www.w3.org", "")
        assert "https://" not in words
        assert "eval(" not in words
        assert "innerHTML" not in words


def test_open_address_needs_a_token_of_some_length(tmp_path):
    options = DriveOptions(world="warp", out=tmp_path)
    with pytest.raises(InvalidConfig, match="16 characters"):
        PageServer(options, host="0.0.0.0", port=0, token="short")
    with pytest.raises(InvalidConfig, match="cannot listen"):
        PageServer(options, host="203.0.113.1", port=0)


def test_socket_needs_the_token_too(server):
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{server.port}/drive?viewer=stranger-1", origin=f"http://127.0.0.1:{server.port}")
