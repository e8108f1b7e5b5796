"""Reward terms that a network estimates, where geometry cannot or may not. None of them is ever mixed with geometry's.

They have names of their own, so that an estimate is not taken for a measurement: a learned term is as good as the
network behind it, and a policy that is trained on it long enough finds its mistakes.
"""

from longdwm_env.episodes.transition import Driven, Unavailable


def learned_danger(driven: Driven) -> float | Unavailable:
    """Minus the probability that the frames end in danger: another is touched, or would be within 2 s if all went on.

    Source: the bundled scorer (models.scorer), a network trained on simulator footage; it looks at the last 12 frames.
    """
    scores = driven.learned.scores()
    return scores if isinstance(scores, Unavailable) else 0.0 - scores.danger


def learned_off_road(driven: Driven) -> float | Unavailable:
    """Minus the probability that the frames end with the middle of the rear axle off the road.

    Source: the bundled scorer, as learned_danger.
    """
    scores = driven.learned.scores()
    return scores if isinstance(scores, Unavailable) else 0.0 - scores.off_road


def uncertainty(driven: Driven) -> float | Unavailable:
    """Minus how far the world's several predictions of what follows this action differ.

    Where the world has often seen what follows from an action, its predictions agree; a wild action leaves it guessing.

    Source: Vista's reward (Gao et al., arXiv:2405.17398), with differences in models.uncertainty.
    """
    spread = driven.learned.uncertainty()
    return spread if isinstance(spread, Unavailable) else 0.0 - spread
