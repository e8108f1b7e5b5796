"""The trained network as a policy."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from longdwm_env.actions import Action
from longdwm_env.agents.cloning.network import ClonedNetwork, settings_from
from longdwm_env.agents.policies.small_view import view_of
from longdwm_env.agents.policy import PolicyContext, present_speed_mps
from longdwm_env.agents.saved import PolicyHeader, read_policy, write_policy
from longdwm_env.episodes.observation import Info, Observation
from longdwm_env.errors import InvalidConfig


class ClonedPolicy:
    """Drives by a behaviour-cloned network.

    Args:
        network: the network.
        context: observation mode "video", trajectory or control mode.
    """

    def __init__(self, network: ClonedNetwork, context: PolicyContext) -> None:
        context.require("trajectory", "control", policy="a cloned driver")
        self._network = network.eval()
        self._context = context

    @classmethod
    def load(cls, path: Path, context: PolicyContext) -> "ClonedPolicy":
        """Read a policy that ``save`` wrote.

        Raises:
            InvalidConfig: the file is damaged or holds something else.
        """
        header, tensors = read_policy(path)
        # Whatever default device its user has set.
        with torch.device("cpu"):
            network = ClonedNetwork(settings_from(dict(header.settings)))
        try:
            network.load_state_dict(
                {key: torch.from_numpy(value.copy()) for key, value in tensors.items()}, strict=True
            )
        except RuntimeError as error:
            raise InvalidConfig(f"the weights in {path} do not fit the network that it names: {error}") from error
        return cls(network, context)

    def reset(self, observation: Observation, info: Info) -> None:
        """Nothing to forget.

        Raises:
            InvalidConfig: the observation holds no video.
        """
        if not isinstance(observation, Mapping):
            raise InvalidConfig("a cloned driver needs observations in obs_mode='video'")

    def act(self, observation: Observation, info: Info) -> Action:
        """The network's waypoints."""
        settings = self._network.settings
        view = view_of(observation, (settings.height, settings.width))
        with torch.no_grad():
            waypoints = self._network(torch.from_numpy(view["image"])[None], torch.from_numpy(view["ego"])[None])[0]
        return self._context.action_from_waypoints(
            waypoints.numpy().astype(np.float64), present_speed_mps(observation, info)
        )


def save(network: ClonedNetwork, path: Path) -> None:
    """Write a network as a policy file: safetensors and JSON."""
    tensors = {key: value.detach().cpu().numpy() for key, value in network.state_dict().items()}
    write_policy(path, PolicyHeader("cloned", "trajectory", "video", asdict(network.settings)), tensors)
