"""What was driven so far, as the record that another world starts from."""

import numpy as np

from longdwm_env.geometry.camera import fit_images
from longdwm_env.types import Camera, FloatArray, Images


class DrivenLog:
    """A ``SceneLog`` that ends now: it knows the past and nothing of the future."""

    def __init__(self, frames: Images, poses: FloatArray) -> None:
        """Args are ``frames`` (T, H, W, 3), the present one last, and their ``poses`` (T, 3) in the episode's world."""
        self.num_past = len(frames) - 1
        self.num_future = 0
        self.ego_poses: FloatArray | None = poses
        self._frames = frames

    def images(self, first: int, count: int, camera: Camera) -> Images:
        """Frames ``first``, ``first + 1``, ... at the size of ``camera``'s image; see ``SceneLog.images``."""
        if first + count - 1 > 0:
            raise ValueError(f"frame {first + count - 1} was asked for; the drive ends at frame 0, which is now")
        positions = np.maximum(np.arange(first, first + count) + self.num_past, 0)
        return fit_images(self._frames[positions], camera.intrinsics.image_size)
