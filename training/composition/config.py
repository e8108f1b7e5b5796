"""How the compositor is trained: the stage ``compose``."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CompositorTraining:
    """How the compositor is trained.

    Attributes:
        batch: moments a step.
        alone_steps: by patch distance alone, before the critic joins.
        rising_steps: over which the critic's weight rises.
        learning_rate: of the compositor; the critic's is twice it.
        distance_weight, texture_weight, motion_weight, fooling_weight, matching_weight: of the terms of the loss.
        road_user_weight: how much more a squared error counts where the map shows a road user; about six times the
            loss, which is of its root. What the critic says of these places counts six times as much.
        average: decay of the averaged weights.
        save_every: steps.
        least_moments: what the ring must hold before training begins.
    """

    batch: int = 8
    alone_steps: int = 1500
    rising_steps: int = 300
    learning_rate: float = 2e-4
    distance_weight: float = 1.0
    texture_weight: float = 0.3
    motion_weight: float = 0.5
    fooling_weight: float = 0.15
    matching_weight: float = 1.0
    road_user_weight: float = 35.0
    average: float = 0.998
    save_every: int = 200
    least_moments: int = 512


@dataclass(frozen=True)
class StreetShares:
    """How often what is driven; chances from 0 to 1.

    Attributes:
        large: of drives in pictures of twice the size.
        free: of simulated drives along arcs, in place of a driver's way.
        restyled: of simulated drives that begin under another prompt than their history shows.
        everything: of simulated drives that are given all that the map knows; the others are given the road and its
            users, as where a map of a photograph's road was made.
        photographic, photographic_everything: of simulated drives of either kind that look like photographs.
        one_picture: of drives not given everything that begin from one picture.
    """

    large: float = 0.5
    free: float = 0.12
    restyled: float = 0.1
    everything: float = 0.8
    photographic: float = 0.7
    photographic_everything: float = 0.12
    one_picture: float = 0.5


@dataclass(frozen=True)
class ComposeConfig:
    """The stage.

    Attributes:
        training: of the compositor.
        shares: of kinds of streets.
        steps: of training.
        ring: moments that are kept.
        last_seed: scenes of training lie below.
        longest_s: seconds of the longest drives, first and last; they grow with the steps.
        widths, depths: of the compositor, see there.
    """

    training: CompositorTraining = field(default_factory=CompositorTraining)
    shares: StreetShares = field(default_factory=StreetShares)
    steps: int = 45_000
    ring: int = 8192
    last_seed: int = 900_000
    longest_s: tuple[int, int] = (6, 90)
    widths: tuple[int, int, int] = (48, 96, 144)
    depths: tuple[int, int, int] = (1, 2, 3)

    def longest_at(self, step: int) -> int:
        """Seconds of the longest drive at a step of training: doubled evenly over the steps."""
        first, last = self.longest_s
        return round(first * (last / first) ** min(step / max(self.steps, 1), 1.0))
