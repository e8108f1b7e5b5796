"""Photos that are sent to the page: driven into, kept without their taker's place, refused where they are none."""

import io
import json
import socket
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from longdwm_env.agents.driving_page import photos

from .conftest import PATIENCE_S, decoded, request, street


def png(image):
    return cv2.imencode(".png", image)[1].tobytes()


def test_photo_starts_a_drive_and_what_it_says_of_its_taker_is_not_kept(server, join):
    driver = join()
    picture = street(5, (120, 180))
    before = decoded(driver.jpeg)
    exif, sent = Image.Exif(), io.BytesIO()
    exif[0x010E] = "taken at home"
    Image.fromarray(picture[..., ::-1]).save(sent, "JPEG", exif=exif)
    assert b"taken at home" in sent.getvalue()
    status, _, body = request(server, "POST", "/photos", sent.getvalue())
    assert status == 200, body
    name = json.loads(body)["photo"]
    assert b"taken at home" not in server.photos.path_of(name).read_bytes()
    driver.say("open", kind="photo", which=name, world="warp")
    driver.until(lambda it: name in it.state["place"]["lines"][0], "the photo is driven into")
    small = cv2.resize(picture, (72, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(decoded(driver.jpeg).astype(int) - small).mean() < np.abs(before.astype(int) - small).mean() / 2
    driver.drive(0.5)
    assert [path.name for path in server.photos.folder.iterdir()] == [f"{name}.png"]
    scenes = json.loads(request(server, "GET", "/scenes")[2])
    assert {"kind": "photo", "which": name, "label": "photo"} in scenes
    assert decoded(request(server, "GET", f"/thumbnails/photo/{name}")[2]).shape == (128, 192, 3)
    link = driver.ask("link", "link")["link"]
    driver.say("open", kind="source", which="0", world="warp")
    driver.until(lambda it: "street.png" in it.state["place"]["lines"][0], "back in the server's own scene")
    driver.say("replay", link=link)
    driver.until(lambda it: name in it.state["place"]["lines"][0], "the link finds the photo by its content")


def huge_png():
    """A few hundred bytes that claim to be 60,000 pixels wide and high."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#!/bin/sh\ntouch /tmp/owned\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"GIF89a" + bytes(100),
        b"II*\0" + bytes(100),
        png(street())[:-200],
        huge_png(),
    ],
    ids=["empty", "script", "svg", "gif", "tiff", "cut off", "huge"],
)
def test_what_is_no_photo_is_refused_with_a_reason_and_leaves_no_file(server, data):
    before = set(server.photos.names())
    status, _, body = request(server, "POST", "/photos", data)
    assert status == 400
    assert json.loads(body)["why"]
    assert str(server.photos.folder) not in body.decode()
    assert set(server.photos.names()) == before


def test_upload_that_is_too_long_or_too_slow_is_ended(server, monkeypatch):
    assert request(server, "POST", "/photos", bytes(photos.MAX_PHOTO_BYTES + 1))[0] == 413
    monkeypatch.setattr(photos, "UPLOAD_S", 0.3)
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as slow:
        head = (
            f"POST /photos HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: http://127.0.0.1:{server.port}\r\n"
            f"Cookie: longdwm-{server.port}={server.token}\r\nContent-Length: 1000\r\n\r\nabc"
        )
        slow.sendall(head.encode())
        assert b"400" in slow.recv(100)
    monkeypatch.setattr(photos, "MAX_PHOTO_BYTES", 1000)
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as liar:
        head = (
            f"POST /photos HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: http://127.0.0.1:{server.port}\r\n"
            f"Cookie: longdwm-{server.port}={server.token}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        liar.sendall(head.encode() + b"800\r\n" + bytes(0x800) + b"\r\n")
        assert b"400" in liar.recv(100)
