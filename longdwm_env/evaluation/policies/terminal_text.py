"""The summary for the terminal."""

from longdwm_env.evaluation.policies.episode_metrics import FACTS
from longdwm_env.evaluation.policies.scene_statistics import Estimate
from longdwm_env.evaluation.policies.summary import Summary


def as_text(summary: Summary) -> str:
    """The ranking, a policy a line."""
    width = max(len(policy.policy) for policy in summary.policies)
    lines = [f"{'policy':<{width}}  {FACTS[summary.ranked_by].label} with 95% interval"]
    for policy in summary.policies:
        failures = sum(policy.failures.values())
        told = f"   ({failures} episodes failed)" if failures else ""
        lines.append(f"{policy.policy:<{width}}  {estimate_text(policy.terms[summary.ranked_by].estimate)}{told}")
    return "\n".join(lines)


def estimate_text(estimate: Estimate | None) -> str:
    """A mean and its interval."""
    if estimate is None:
        return "not available"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:8.3f}"
    return f"{estimate.mean:8.3f}  [{estimate.low:.3f}, {estimate.high:.3f}]"
