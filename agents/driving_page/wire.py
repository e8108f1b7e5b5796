"""What is sent to a browser: one message holds what a screen shows in words and numbers, and its picture."""

import json
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from longdwm_env.agents.driving.instruments import readings
from longdwm_env.agents.driving.instruments.road_path import Ribbon, on_road
from longdwm_env.agents.driving.window.screen import Screen
from longdwm_env.types import FloatArray, JsonObject

JPEG_QUALITY = 92
"""Small pictures are enlarged many times in the page: the blocks of a lower quality would show."""


@dataclass(frozen=True, eq=False)
class Broadcast:
    """One state of the drive, the same for all who look on.

    Attributes:
        number: counts up; a viewer says which it has seen.
        picture: number of the picture; the same as the last one's where only words changed.
        words: JSON of ``described``.
        jpeg: the picture; empty while the first scene opens.
    """

    number: int
    picture: int
    words: bytes
    jpeg: bytes

    def message(self, seen_picture: int) -> bytes:
        """The message for a viewer that has a picture already: four bytes of length, the words, then any picture."""
        jpeg = b"" if seen_picture == self.picture else self.jpeg
        return len(self.words).to_bytes(4, "big") + self.words + jpeg


def jpeg_of(picture: NDArray[np.uint8], quality: int = JPEG_QUALITY) -> bytes:
    """A picture (H, W, 3) RGB as JPEG, with its colours at full resolution."""
    settings = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), settings)
    if not done:
        raise ValueError(f"a picture of {picture.shape} cannot be encoded")
    return data.tobytes()


def described(screen: Screen) -> JsonObject:
    """A screen as JSON values. Lengths on the picture are in shares of its width."""
    said: JsonObject = {
        "status": screen.status,
        "banner": screen.banner,
        "hint": screen.hint,
        "busy": screen.busy,
        "note": None if screen.note is None else {"text": screen.note.text, "warning": screen.note.warning},
        "recording": screen.recording,
    }
    moment = screen.moment
    if moment is None:
        return said
    height, width = moment.state.image_size
    world, lines = readings.place_of(screen)
    road = on_road(moment, screen.frame, screen.shown_steering_rad, (0.0, 0.0, 1 / width))
    return said | {
        "size": [width, height],
        "world": moment.state.world,
        "place": {"world": world, "lines": lines},
        "numbers": [[row.name, row.value, row.warning] for row in readings.numbers_of(screen)],
        "speed_kmh": round(readings.speed_kmh(screen)),
        "steering": {
            "words": readings.steering_words(screen),
            "degrees": round(math.degrees(moment.controls.steering_rad), 1),
            "next_degrees": round(math.degrees(screen.next_steering_rad), 1),
        },
        "pedals": [[pedal.name, round(pedal.share, 2), round(pedal.asked, 2)] for pedal in readings.pedals_of(screen)],
        "kept_s": [round(time_s, 3) for time_s in screen.kept_s],
        "way_back_s": readings.LONGEST_WAY_BACK_S,
        "lane": _ribbon(road.lane),
        "braking": road.braking,
        "wheels": _ribbon(road.wheels),
    }


def words_of(screen: Screen) -> bytes:
    """``described`` as JSON."""
    return json.dumps(described(screen), separators=(",", ":"), allow_nan=False).encode()


def numbered(words: bytes, number: int) -> bytes:
    """The same JSON object with the number of its broadcast."""
    return b'{"n":%d,' % number + words[1:]


def _ribbon(ribbon: Ribbon | None) -> JsonObject | None:
    if ribbon is None:
        return None
    return {
        "left": _points(ribbon.left),
        "right": _points(ribbon.right),
        "marks": [_points(pair) for pair in ribbon.marks],
        "distances_m": [round(distance, 1) for distance in ribbon.distances_m.tolist()],
    }


def _points(points: FloatArray) -> list[list[float]]:
    return np.round(points, 4).tolist()
