"""``longdwm train policy``: behaviour cloning of a privileged driver into a small network that sees the camera."""

from pathlib import Path

from longdwm_env.cli.destination import holding_its


@holding_its("file")
def train_policy(
    out: Path = Path("outputs/cloned.safetensors"),
    world: str = "simulator",
    scenes: str | None = None,
    expert: str = "idm",
    episodes: int = 200,
    first_seed: int = 0,
    max_episode_s: float = 20.0,
    control_period_s: float = 1.0,
    noise: float = 0.4,
    epochs: int = 30,
    batch: int = 64,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> int:
    """Collect demonstrations, train, and save a policy for ``longdwm evaluate --policy FILE``.

    Args:
        out: the policy: safetensors and JSON.
        world: where the expert drives.
        scenes: where episodes start; default: the built-in scenes.
        expert: name of the policy to imitate.
        episodes: to watch.
        first_seed: of the episodes.
        max_episode_s: longest episode.
        control_period_s: time between two actions.
        noise: metres, a second ahead, by which every other episode is driven off the expert's plan.
        epochs: passes over the data.
        batch: samples per step.
        learning_rate: at its peak.
        seed: of the training.
    """
    import gymnasium as gym
    from tqdm import tqdm

    from longdwm_env.agents.cloning.demonstrations import demonstrate
    from longdwm_env.agents.cloning.network import ClonedSettings
    from longdwm_env.agents.cloning.policy import save
    from longdwm_env.agents.cloning.training import CloningSettings, clone

    settings = CloningSettings(epochs, batch, learning_rate, seed=seed)
    environment = gym.make(
        "longdwm_env:LongDWM-v0",
        world=world,
        scenes=scenes,
        max_episode_s=max_episode_s,
        control_period_s=control_period_s,
    )
    seeds = range(first_seed, first_seed + episodes)
    data = demonstrate(environment, tqdm(seeds, unit="episode", desc=f"watching {expert}"), expert, noise)
    environment.close()
    with tqdm(total=epochs, unit="epoch", desc=f"training on {len(data)} moments") as progress:

        def report(epoch: int, error_m: float) -> None:
            progress.set_postfix(held_out=f"{error_m:.3f} m")
            progress.update()

        result = clone(data, ClonedSettings(), settings, report)
    save(result.network, out)
    print(f"{result.held_out_m[-1]:.3f} m from the expert's waypoints on held-out moments; written: {out.resolve()}")
    return 0
