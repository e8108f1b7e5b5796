"""How large the pictures of a drive are, in each of the worlds that it may go on in."""

from dataclasses import dataclass

from longdwm_env.factory import BUILT_IN_WORLDS, own_image_size, shown_image_size
from longdwm_env.types import ImageSize


@dataclass(frozen=True)
class PictureSizes:
    """What was asked of picture sizes, as a replay file keeps it.

    Attributes:
        asked: (height, width) in every world; None for what suits each (``factory.shown_image_size``).
        learned_own: learned worlds keep to their own size, as in drives of before they could be asked for another.
    """

    asked: ImageSize | None = None
    learned_own: bool = False

    def of(self, world: str) -> ImageSize:
        """The size (height, width) of a world's pictures.

        Raises:
            UnknownWorld: there is no such world.
            MissingWeights: the world's folder is damaged.
            InvalidConfig: sides that no picture has.
        """
        if self.learned_own and world not in BUILT_IN_WORLDS:
            return own_image_size(world)
        return shown_image_size(world, self.asked)
