"""A tiny evaluation, and the file of policies that it can name."""

from pathlib import Path

from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig

POLICIES = str(Path(__file__).with_name("policies.py"))
CONFIG = EvaluationConfig(
    ("idm", "constant-velocity"), world="grey", episodes=2, max_episode_s=3.0, videos=False, reference=None
)
