"""Whether a saved pipeline can drive at all: asked when something failed, to tell a damaged one from bad input."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from longdwm_env.errors import LongDWMError, MissingWeights
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.spline import plan_trajectory
from longdwm_env.scenes.builtin import BuiltinScenes
from longdwm_env.types import ImageSize, Scene, Trajectory

Drive = Callable[[Scene, Trajectory], object]


@contextmanager
def suspecting(pipeline: str | None, image_size: ImageSize, drive: Drive) -> Iterator[None]:
    """Where the code inside fails and a built-in scene cannot be driven either, the pipeline is at fault and is named.

    A configuration may fit its weights and still ask for what cannot be computed, and what libraries raise then names
    neither file nor reason. With any other cause the error stays what it is.

    Args:
        pipeline: what to call it; None where it did not come from outside, so that it is not suspected.
        image_size: (height, width) of its pictures.
        drive: (scene, trajectory) drives a frame with it.

    Raises:
        MissingWeights: the pipeline is damaged.
    """
    try:
        yield
    except (LongDWMError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception:
        if pipeline is not None:
            _try(pipeline, image_size, drive)
        raise


def _try(pipeline: str, image_size: ImageSize, drive: Drive) -> None:
    scene = BuiltinScenes().scene(0)
    camera = assumed_camera(image_size) if scene.camera is None else scene.camera.fitted(image_size)
    ahead = plan_trajectory(np.array([[2.0, 0.0], [4.0, 0.0], [6.0, 0.0], [8.0, 0.0]]), scene.start)
    try:
        drive(replace(scene, camera=camera), ahead)
    except Exception as error:
        raise MissingWeights(
            f"{pipeline} was loaded, but nothing can be generated with it ({type(error).__name__}: {error}): a "
            "configuration in it is damaged; take another copy"
        ) from error
