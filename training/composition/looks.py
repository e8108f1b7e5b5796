"""Simulated streets that look like photographs: textures fixed to the world, tones, blur, vignette; one look a drive.

What is drawn with flat polygons can be drawn anew from its class; a photograph cannot, and has to be carried along.
Textures that move rightly teach that (domain randomisation, Tobin et al., 2017).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from longdwm_env.geometry.map_view.map_picture import MapPicture, draw_map, pixel_rays
from longdwm_env.geometry.map_view.upright import STATIC
from longdwm_env.geometry.pose import as_matrix
from longdwm_env.training.composition.streets import HISTORY, SimulatedStreet, Stretch
from longdwm_env.types import Camera, FloatArray, Images

TILE_PX = 256
FINEST_PX = 1.2
"""A texture fades where its tile's pixels are seen smaller than this share of a picture's."""


@dataclass(frozen=True)
class PhotographicLook:
    """How one drive's pictures differ from the simulator's.

    Attributes:
        tones: uint8 (256, 3), what becomes of each channel's values.
        tiles: float32 (O, TILE_PX, TILE_PX, 3), textures from coarse to fine, mean 0.
        tile_m: (O,) metres that a tile is long.
        blur_px: standard deviation; 0 for none.
        vignette: how much darker the corners are.
    """

    tones: UInt8[np.ndarray, "256 3"]
    tiles: Float[np.ndarray, "o p p 3"]
    tile_m: tuple[float, ...]
    blur_px: float
    vignette: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "PhotographicLook":
        """A random look."""
        ramp = np.linspace(0, 1, 256)[:, None]
        gamma, gain = np.exp(rng.normal(0, 0.08, 3) + rng.normal(0, 0.3)), np.exp(rng.normal(0, 0.06, 3))
        low, high = float(rng.uniform(0, 0.12)), float(rng.uniform(0.85, 1.0))
        curve = low + (high - low) * np.clip(ramp**gamma * gain, 0, 1)
        octaves = (40.0, 12.0, 4.0, 1.4)
        strength = float(rng.uniform(0.08, 0.5))
        tint = rng.normal(0, 0.25, (len(octaves), 1, 1, 3))
        rough = [rng.standard_normal((TILE_PX, TILE_PX, 1)).astype(np.float32) for _ in octaves]
        soft = [cv2.GaussianBlur(np.tile(one, (1, 1, 3)), (0, 0), 2.0) for one in rough]
        tiles = np.stack([one / one.std() for one in soft]) * strength * 0.35 * (1 + tint)
        return cls(
            np.round(255 * curve).astype(np.uint8),
            tiles.astype(np.float32),
            octaves,
            float(rng.choice([0.0, rng.uniform(0.3, 0.7)])),
            float(rng.uniform(0, 0.4)),
        )

    def given_to(self, image: Images, shown: MapPicture, pose: FloatArray, camera: Camera) -> Images:
        """An image (H, W, 3) in this look; ``shown`` says how far each pixel is, ``pose`` where the ego is."""
        scale = np.ones((*image.shape[:2], 3), np.float32)
        depth = shown.inverse_depth
        solid = (depth > 1 / 400) & (shown.owners == STATIC)
        world_from_camera = (as_matrix(np.asarray(pose, np.float64)) @ camera.mounting.ego_from_camera).astype(
            np.float32
        )
        x, y = pixel_rays(camera)[:, solid]
        far = 1 / depth[solid]
        points = np.stack([x * far, y * far, far]).T @ world_from_camera[:3, :3].T + world_from_camera[:3, 3]
        # On walls height takes the place of a direction along the ground.
        along, across = points[:, 0] + 0.7 * points[:, 2], points[:, 1] + 1.3 * points[:, 2]
        pixel_m = far / camera.intrinsics.fx_px
        texture = np.zeros((len(far), 3), np.float32)
        for tile, length in zip(self.tiles, self.tile_m, strict=True):
            grain_m = 4 * length / TILE_PX
            share = np.clip(grain_m / (FINEST_PX * pixel_m) - 0.5, 0, 1)[:, None]
            rows = np.floor(along / length * TILE_PX).astype(np.int64) % TILE_PX
            columns = np.floor(across / length * TILE_PX).astype(np.int64) % TILE_PX
            texture += share * tile[rows, columns]
        # Roads are smoother than what stands beside them.
        smoother = np.where(points[:, 2:] < 0.1, 0.5, 1.0).astype(np.float32)
        scale[solid] = np.exp(texture * smoother)
        height, width = image.shape[:2]
        down, right = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        scale *= (1 - self.vignette * (down**2 + right**2) / 2)[..., None].astype(np.float32)
        lit = np.clip(image * scale, 0, 255).astype(np.uint8)
        toned = np.stack([cv2.LUT(lit[..., channel], self.tones[:, channel]) for channel in range(3)], axis=-1)
        return np.asarray(cv2.GaussianBlur(toned, (0, 0), self.blur_px) if self.blur_px > 0 else toned)


class PhotographicStreet:
    """A simulated street in a look; a ``Street``.

    Args:
        street: whose knowledge is that of ``streets.Knowledge``; here its map serves the look alone.
        look: of all pictures.
    """

    def __init__(self, street: SimulatedStreet, look: PhotographicLook) -> None:
        self._street, self._look = street, look
        self.camera, self.prompt, self.seed = street.camera, street.prompt, street.seed
        poses, surroundings = street.past_poses, street.known_here()

        def looked(image: Images, pose: FloatArray) -> Images:
            shown = draw_map(surroundings.layout, surroundings.scenery, None, 0, self.camera, pose)
            return look.given_to(image, shown, pose, self.camera)

        self.history: Sequence[Images] = [
            looked(image, pose) for image, pose in zip(street.history, poses[:HISTORY], strict=True)
        ]
        self.before: tuple[Images, FloatArray] | None = None
        if street.before is not None:
            image, pose = street.before
            self.before = looked(image, pose), pose

    @property
    def ended(self) -> bool:
        """See ``Street``."""
        return self._street.ended

    def here(self) -> Stretch:
        """See ``Street``."""
        return self._dressed(self._street.here())

    def drive_on(self) -> Stretch:
        """See ``Street``."""
        return self._dressed(self._street.drive_on())

    def _dressed(self, stretch: Stretch) -> Stretch:
        whole = stretch.surroundings
        known = self._street.known_of(whole)

        def truth(index: int) -> Images:
            return self._look.given_to(
                stretch.truth(index), whole.shown(index, self.camera), whole.poses[index], self.camera
            )

        return Stretch(known, truth)
