"""What strangers may send to the page's server: it is answered or refused, and the server goes on.

``LONGDWM_FUZZ_CASES=20000`` in the environment tries as many of each (CONTRIBUTING.md).
"""

import io
import json
import socket
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from longdwm_env.agents.driving.engine.drive_options import DriveOptions
from longdwm_env.agents.driving_page import read_photo
from longdwm_env.agents.driving_page.orders import Open
from longdwm_env.agents.driving_page.page_starts import Starts
from longdwm_env.agents.driving_page.photos import Photos
from longdwm_env.errors import LongDWMError

from ..damage import WORDS, cases
from .conftest import PATIENCE_S, request, street

PATHS = [
    "/",
    "/scenes",
    "/photos",
    "/drive",
    "/page.js",
    "/index.html",
    "*",
    "",
    "//",
    "http://[",
    "/%",
    "/%00",
    "/\xff",
]
PATHS += [f"/thumbnails/{kind}/{which}" for kind in ("builtin", "photo", "x") for which in ("999", "²", "%2e%2e", "-1")]
PATHS += [f"/branches/{number}/0" for number in ("1", "9" * 5000, "-1", "1.0")] + ["/recordings/..%2f%00", "/a" * 3000]
HEADERS = {
    "Host": ["127.0.0.1:{port}", "evil.example", "[::1", "", "\xff", "127.0.0.1:99999999"],
    "Origin": ["http://127.0.0.1:{port}", "null", "http://[", "http://[::1", "\xff", "//", "http://\u2100"],
    "Cookie": ["longdwm-{port}={token}", "longdwm-{port}=\xff", "=;;=", "a" * 9000, '"', "longdwm-{port}=x"],
    "Authorization": ["Bearer {token}", "Bearer \xff", "Basic x"],
    "Content-Type": ["multipart/form-data; boundary=x", "multipart/form-data", "application/json", "\xff", "image/png"],
    "Content-Length": ["0", "5", "-1", "9" * 30, "0x5", "5, 5", "\xb2"],
    "Transfer-Encoding": ["chunked", "gzip", "chunked, chunked"],
    "Upgrade": ["websocket", "h2c"],
    "Sec-WebSocket-Key": ["x", "dGhlIHNhbXBsZSBub25jZQ=="],
    "Expect": ["100-continue", "x"],
    "Range": ["bytes=0-", "bytes=-1"],
}
MULTIPART = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="../../a.png"\r\n\r\n'
BODIES = [b"", b"hello", b'{"photo": "\xff', b"[" * 5000, MULTIPART + b"GIF89a", MULTIPART, b"5\r\nhello\r\n0\r\n\r\n"]
BODIES += [b"ffffffffffffffff\r\n", b"-5\r\nx", b"\xff\xd8\xff" + bytes(40), b"RIFF\0\0\0\0WEBP"]


def odd_request(chance, server):
    """The bytes of a request that is damaged in a few places, from a page that has the token more often than not."""
    path = chance.choice(PATHS[:6] if chance.random() < 0.4 else PATHS)
    lines = [f"{chance.choice(['GET', 'GET', 'POST', 'POST', 'PUT', 'x', 'HEAD'])} {path} HTTP/1.1"]
    for name, values in HEADERS.items():
        usual = name in ("Host", "Origin", "Cookie")
        if chance.random() < (0.95 if usual else 0.2):
            value = values[0] if usual and chance.random() < 0.8 else chance.choice(values)
            lines.append(f"{name}: {value.format(port=server.port, token=server.token)}")
    body = chance.choice(BODIES)
    if not any(line.startswith(("Content-Length", "Transfer-Encoding")) for line in lines):
        lines.append(f"Content-Length: {len(body) + chance.choice([0, 0, 0, 7])}")
    data = bytearray("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", "replace") + body)
    for _ in range(chance.choice([0, 0, 1, 3])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def answered(server, data):
    """The status that comes of some bytes; 0 where the connection is ended without one."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as one:
        said = b""
        try:
            one.sendall(data)
            one.shutdown(socket.SHUT_WR)
            while len(said) < 12 and (more := one.recv(64)):
                said += more
        except ConnectionError:
            pass
    return int(said[9:12]) if said.startswith(b"HTTP/1.1 ") and said[9:12].isdigit() else 0


def test_strange_requests_are_answered_or_refused(server, caplog):
    """None of them is this server's own fault: that would be 500."""
    seen = {}
    for chance in cases():
        data = odd_request(chance, server)
        seen.setdefault(answered(server, data), data)
    assert 500 not in seen, seen[500]
    assert not [record for record in caplog.records if record.exc_info]
    assert {200, 400, 401, 403, 404, 421} <= set(seen)
    assert request(server, "GET", "/scenes")[0] == 200


def test_numbers_of_drives_and_origins_that_no_one_reads(server):
    """Each was a traceback in the server's log."""
    assert request(server, "GET", f"/branches/{'9' * 5000}/0")[0] == 404
    assert request(server, "POST", "/photos", b"x", Origin="http://[::1")[0] == 403


def test_a_sender_who_goes_away_leaves_nothing(server, caplog):
    head = f"POST /photos HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: http://127.0.0.1:{server.port}\r\n"
    head += f"Cookie: longdwm-{server.port}={server.token}\r\nContent-Length: 1000\r\n\r\nabc"
    before = server.photos.names()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as one:
            one.sendall(head.encode())
    status, _, body = request(server, "POST", "/photos", b"no photo")
    while status == 400 and b"another photo is being read" in body:
        status, _, body = request(server, "POST", "/photos", b"no photo")
    assert "no JPEG" in json.loads(body)["why"]
    assert server.photos.names() == before
    assert not [record for record in caplog.records if record.exc_info]


def odd_photo(chance):
    """A picture's bytes, of odd size and kind, damaged more often than not."""
    size = chance.choice([(1, 1), (1, 2000), (2000, 1), (16, 24), (300, 200), (3, 5000)])
    mode = chance.choice(["RGB", "L", "1", "CMYK", "P", "RGBA", "LA", "I;16", "F", "I"])
    kind = chance.choice(["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
    exif = Image.Exif()
    exif[0x0112] = chance.choice([1, 6, 9, 0])
    data = io.BytesIO()
    try:
        Image.new(mode, size, 0).save(data, kind, exif=exif)
    except (OSError, ValueError, KeyError):
        Image.new("RGB", size, (9, 8, 7)).save(data, "PNG")
    changed = bytearray(data.getvalue())
    for _ in range(chance.choice([0, 1, 4])):
        changed[chance.randrange(min(len(changed), chance.choice([64, len(changed)])))] = chance.randrange(256)
    return bytes(changed[: chance.randrange(len(changed))] if chance.random() < 0.1 else changed)


def test_strange_photos_are_read_or_refused(monkeypatch, capsys):
    """As in the process that reads them; no side of what comes of them is too long, and nothing else is written."""
    monkeypatch.setattr(read_photo, "_limit", lambda: None)
    outcomes = set()
    for chance in cases():
        given, made = io.BytesIO(odd_photo(chance)), io.BytesIO()
        monkeypatch.setattr(read_photo, "sys", SimpleNamespace(
            stdin=SimpleNamespace(buffer=given), stdout=SimpleNamespace(buffer=made), stderr=None,
        ))  # fmt: skip
        outcomes.add(status := read_photo.main())
        if status == 0:
            picture = Image.open(io.BytesIO(made.getvalue()))
            assert (picture.format, picture.mode, max(picture.size) <= read_photo.MAX_SIDE_PX) == ("PNG", "RGB", True)
            assert not picture.getexif()
            assert np.asarray(picture).shape[2] == 3
        else:
            assert made.getvalue() == b""
    assert outcomes == {0, read_photo.REFUSED}


@pytest.mark.parametrize("name", ["photo-0123456789abcdef"])
def test_a_link_among_the_photos_is_none_of_them(tmp_path, name):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"x")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / f"{name}.png").symlink_to(secret)
    kept = Photos(tmp_path / "photos")
    assert kept.names() == []
    with pytest.raises(LongDWMError, match="not here"):
        kept.path_of(name)


def test_a_photo_that_cannot_be_kept_is_refused(server, monkeypatch):
    data = io.BytesIO()
    Image.fromarray(street(77)).save(data, "PNG")

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("longdwm_env.agents.driving_page.photos.atomic_write_bytes", full)
    status, _, body = request(server, "POST", "/photos", data.getvalue())
    assert (status, json.loads(body)["why"]) == (400, "the photo cannot be kept: No space left on device")


def test_a_page_opens_what_is_offered_and_nothing_else_of_the_disk(tmp_path):
    (tmp_path / "photos").mkdir()
    photo = tmp_path / "photos" / "photo-0123456789abcdef.png"
    for path in (photo, tmp_path / "secret.png"):
        path.write_bytes(b"x")
    starts = Starts(DriveOptions(world="warp", out=tmp_path), Photos(tmp_path / "photos"))
    opened = starts.options_of(Open("photo", photo.stem, "warp"), ("warp",))
    assert (opened.scene, opened.world) == (str(photo.resolve()), "warp")
    which = ("../secret", photo.name, f"{photo.stem}\n", f"{photo.stem}?road=0.1", "9" * 99, "\u0663", *WORDS)
    refused = [Open("photo", one, "warp") for one in which]
    refused += [Open("photo", photo.stem, world) for world in (str(tmp_path), "owner/name")]
    for order in refused:
        with pytest.raises(LongDWMError):
            starts.options_of(order, ("warp",))
