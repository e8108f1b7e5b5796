"""Policies of stable-baselines3 in our own format.

Its zip files hold pickled objects, and unpickling runs whatever code is inside. So a policy is exported where it was
trained, by those who trust the file, and what travels is numbers:

    save_policy(model, "ppo.safetensors", action_mode="control")
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from gymnasium import spaces

from longdwm_env.actions import Action
from longdwm_env.agents.policies.control_sampling import steered
from longdwm_env.agents.policies.small_view import VIEW_SIZE, view_of
from longdwm_env.agents.policy import PolicyContext, present_speed_mps
from longdwm_env.agents.saved import PolicyHeader, read_policy, space_from_json, space_to_json, write_policy
from longdwm_env.episodes.observation import Info, Observation
from longdwm_env.errors import InvalidConfig, MissingDependency
from longdwm_env.types import ImageSize

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.policies import BasePolicy

POLICIES: Mapping[str, str] = {
    "ActorCriticPolicy": "stable_baselines3.common.policies",
    "ActorCriticCnnPolicy": "stable_baselines3.common.policies",
    "MultiInputActorCriticPolicy": "stable_baselines3.common.policies",
}
"""Classes of policies (those of PPO and A2C) that can be saved, and where they live: nothing else is ever imported."""


def save_policy(
    model: "BaseAlgorithm",
    path: str | Path,
    action_mode: str,
    obs_mode: str = "video",
    action_bounds: tuple[np.ndarray, np.ndarray] | None = None,
    lateral: bool = False,
) -> None:
    """Save the policy of a trained PPO or A2C model.

    Args:
        model: the model, with its default features extractor; ``net_arch`` may be your own.
        path: a ``.safetensors`` file.
        action_mode: of the environment that it was trained in.
        obs_mode: of that environment, before any wrapper.
        action_bounds: what the model's actions -1 and 1 mean, where they were rescaled; None for the whole space.
        lateral: as for ``Sb3Vector``.

    Raises:
        InvalidConfig: a policy of a class that cannot be saved, or with keywords that are not JSON.
    """
    name = type(model.policy).__name__
    if name not in POLICIES:
        raise InvalidConfig(f"a policy of class {name} cannot be saved; allowed are {', '.join(POLICIES)}")
    extra = sorted(set(model.policy_kwargs) - {"net_arch", "log_std_init", "ortho_init", "use_sde"})
    if extra:
        raise InvalidConfig(
            f"policy_kwargs {', '.join(extra)} cannot be saved; net_arch, log_std_init and ortho_init can"
        )
    settings = {
        "action_bounds": None if action_bounds is None else [np.asarray(b, float).tolist() for b in action_bounds],
        "lateral": lateral,
        "policy": name,
        "observation_space": space_to_json(model.observation_space),
        "action_space": space_to_json(model.action_space),
        "policy_kwargs": dict(model.policy_kwargs),
    }
    tensors = {key: value.detach().cpu().numpy() for key, value in model.policy.state_dict().items()}
    write_policy(Path(path), PolicyHeader("sb3", action_mode, obs_mode, settings), tensors)


class Sb3Policy:
    """A policy that stable-baselines3 trained.

    Args:
        policy: of stable-baselines3.
        context: of the environment that it drives.
        bounds: what the policy's actions -1 and 1 mean, where it was trained with rescaled actions.
        deterministic: the mode of its distribution instead of a sample.
        lateral: as for ``Sb3Vector``.
    """

    def __init__(
        self,
        policy: "BasePolicy",
        context: PolicyContext,
        bounds: tuple[np.ndarray, np.ndarray] | None = None,
        deterministic: bool = True,
        lateral: bool = False,
    ) -> None:
        self._policy, self._context, self._deterministic = policy, context, deterministic
        self._bounds, self._lateral = bounds, lateral
        space = policy.observation_space
        # Models see pictures with the channels first.
        image = space.spaces["image"].shape if isinstance(space, spaces.Dict) and "image" in space.spaces else None
        self._view_size: ImageSize = VIEW_SIZE if image is None else (image[1], image[2])

    @classmethod
    def load(cls, path: Path, context: PolicyContext, deterministic: bool = True) -> "Sb3Policy":
        """Read a policy that ``save_policy`` wrote.

        Raises:
            InvalidConfig: the file is damaged, or the observations here are not those that it learned from.
            MissingDependency: stable-baselines3 is not installed.
        """
        header, tensors = read_policy(path)
        settings = header.settings
        try:
            import torch

            module = importlib.import_module(POLICIES[settings["policy"]])
        except ImportError as error:
            raise MissingDependency(f"{path} needs stable-baselines3: pip install 'longdwm[rl]'") from error
        except KeyError as error:
            raise InvalidConfig(f"{path} names no policy class that can be loaded ({error})") from error
        observed, acts = (space_from_json(settings[key]) for key in ("observation_space", "action_space"))
        policy = vars(module)[settings["policy"]](observed, acts, lambda _: 0.0, **settings["policy_kwargs"])
        try:
            policy.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in tensors.items()}, strict=True)
        except RuntimeError as error:
            raise InvalidConfig(f"the weights in {path} do not fit the network that it names: {error}") from error
        policy.set_training_mode(False)
        bounds = settings["action_bounds"]
        bounds = bounds and tuple(np.array(bound) for bound in bounds)
        # Files of before there was a choice have angles.
        return cls(policy, context, bounds, deterministic, settings.get("lateral", False))

    def reset(self, observation: Observation, info: Info) -> None:
        """Nothing to forget.

        Raises:
            InvalidConfig: the observation is not what the policy learned from.
        """
        try:
            self._policy.obs_to_tensor(self._seen(observation, info))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise InvalidConfig(f"the policy was trained on other observations than these: {error}") from error

    def act(self, observation: Observation, info: Info) -> Action:
        """The policy's action, in the environment's action space."""
        action, _ = self._policy.predict(self._seen(observation, info), deterministic=self._deterministic)
        ours = self._context.action_space
        if isinstance(ours, spaces.Discrete):
            return int(action)
        assert isinstance(ours, spaces.Box)
        if self._bounds is not None:
            low, high = self._bounds
            action = low + (np.asarray(action) + 1) / 2 * (high - low)
        if self._lateral:
            lateral, longitudinal = np.asarray(action)[:, None]
            action = steered(lateral, longitudinal, np.array([present_speed_mps(observation, info)]))[0]
        return np.clip(action, ours.low, ours.high).astype(np.float32)

    def _seen(self, observation: Observation, info: Info) -> Observation:
        """The observation as the policy learned from it: a view, where it was trained on views."""
        space = self._policy.observation_space
        if isinstance(space, spaces.Dict) and "image" in space.spaces:
            return view_of(observation, self._view_size, info.get("ego"))
        return observation
