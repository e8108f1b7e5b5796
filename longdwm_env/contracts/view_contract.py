"""The promises of a view: a picture that a model is shown of a moment that it is to generate."""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from longdwm_env.contracts.promises import disturbed, most_different, promise, same
from longdwm_env.types import Camera, FloatArray, Images

Mask = NDArray[np.float32]

ROUNDING = 1e-4
"""What a model makes of nothing may differ by so much from what it makes of something masked."""


class View(Protocol):
    """What a frame will look like from elsewhere, or what a map shows there.

    Attributes:
        shows_image: whether standing still shows the picture itself, as warps do and maps do not.
    """

    name: str
    shows_image: bool

    def pictures(self, image: Images, camera: Camera, poses: FloatArray) -> tuple[Images, Mask]:
        """What the view shows.

        Args:
            image: (H, W, 3), the present picture.
            camera: its camera.
            poses: (T, 3) to be seen from, in the ego frame of the picture.

        Returns:
            uint8 (T, H, W, 3), and float32 (T,), 1 where that means something and 0 where it does not.
        """
        ...


@runtime_checkable
class SeenView(View, Protocol):
    """A view and a model that is shown it."""

    def seen(self, pictures: Images, mask: Mask) -> NDArray[np.generic]:
        """What the model makes of pictures (T, H, W, 3) and their mask (T,), or of none (T = 0)."""
        ...


@runtime_checkable
class StoredView(View, Protocol):
    """A view that is encoded once for training, and on the way in driving."""

    def in_training(self) -> FloatArray:
        """The view of a moment as training reads it."""
        ...

    def in_driving(self) -> FloatArray:
        """The view of the same moment as driving makes it."""
        ...


def check_view(view: View, camera: Camera, tolerance: float = 0.0) -> None:
    """Look through a view and see whether it keeps what ``View`` promises.

    Where it has ``seen``, what is masked is the same to the model as what is absent; where it has ``in_training`` and
    ``in_driving``, both are the same.

    Args:
        view: the view.
        camera: to look through.
        tolerance: by how much numbers of training and driving may differ on average, since they are encoded in other
            batches.

    Raises:
        BrokenPromise: a promise is not kept.
    """
    image = np.random.default_rng(0).integers(0, 256, (*camera.intrinsics.image_size, 3), np.uint8)
    poses = np.array([[2.0, 0.0, 0.0], [5.0, 0.4, 0.05], [9.0, -0.6, -0.1]])
    given = image.copy(), poses.copy()
    with disturbed(1):
        shown, mask = view.pictures(image, camera, poses)
    form = (len(poses), *image.shape)
    promise(
        shown.dtype == np.uint8 and shown.shape == form,
        f"{view.name} shows uint8 {form}, got {shown.dtype} {shown.shape}",
    )
    is_mask = mask.dtype == np.float32 and mask.shape == (len(poses),) and np.isin(mask, (0, 1)).all()
    promise(is_mask, f"the mask of {view.name} is float32 ({len(poses)},) of 0 and 1, got {mask.dtype} {mask.tolist()}")
    promise(same([image, poses], list(given)), f"{view.name} leaves the picture and the poses as they are")
    with disturbed(2):
        again = view.pictures(image, camera, poses)
    promise(same([shown, mask], list(again)), f"{view.name} is pure: the same arguments gave other pictures")
    for index in range(len(poses)):
        alone, known = view.pictures(image, camera, poses[index : index + 1])
        are_same = same(alone[0], shown[index]) and known[0] == mask[index]
        promise(are_same, f"{view.name} of several poses is that of each alone, but pose {index} shows something else")
    if view.shows_image:
        still, _ = view.pictures(image, camera, np.zeros((1, 3)))
        promise(same(still[0], image), f"standing still, {view.name} shows the picture itself, but it does not")
    if isinstance(view, SeenView):
        _check_seen(view, shown)
    if isinstance(view, StoredView):
        stored, made = view.in_training(), view.in_driving()
        difference = float(np.abs(stored - made).mean()) if stored.shape == made.shape else np.inf
        promise(
            difference <= tolerance,
            f"{view.name} is the same in training and in driving, but they differ by {difference:.3g} on average",
        )


def _check_seen(view: SeenView, shown: Images) -> None:
    none, every = np.zeros(len(shown), np.float32), np.ones(len(shown), np.float32)
    absent = view.seen(shown[:0], none[:0])
    masked = view.seen(shown, none)
    promise(
        same(masked, view.seen(np.asarray(255 - shown, np.uint8), none)),
        f"what {view.name} shows where it is masked changes what is made",
    )
    difference = most_different(masked, absent)
    promise(
        difference <= ROUNDING,
        f"where {view.name} is masked the model makes what it makes without it, but it differs by {difference:.3g}",
    )
    promise(not same(masked, view.seen(shown, every)), f"the model looks at {view.name}, but it changes nothing")
