import cv2
import numpy as np
import pytest

from longdwm_env.geometry.camera import assumed_camera


def smooth_picture(height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(3)
    picture = np.zeros((height, width, 3), np.float32)
    for cells in (4, 12, 24):
        noise = random.random((cells, cells, 3), dtype=np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) / cells**0.5
    low, high = picture.min(), picture.max()
    return ((picture - low) / (high - low) * 255).astype(np.uint8)


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    return smooth_picture(96, 144)


@pytest.fixture(scope="session")
def camera():
    return assumed_camera((96, 144))
