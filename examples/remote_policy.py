"""A policy in a process of its own, asked over a websocket: here in a thread, elsewhere ``longdwm serve-policy``."""

import threading

import gymnasium as gym
import tyro

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.agents.naming import make_policy
from longdwm_env.agents.policy import PolicyContext
from longdwm_env.agents.remote.server import start_server


def main(policy: str = "lane-camera", world: str = "simulator", steps: int = 5, seed: int = 7) -> float:
    """Serve a policy on a free port and let it drive; returns the sum of rewards."""
    server = start_server(policy, port=0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"

    env = gym.make("LongDWM-v0", world=world)
    remote = make_policy(address, PolicyContext.of(env))
    observation, info = env.reset(seed=seed)
    remote.reset(observation, info)
    total = 0.0
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(remote.act(observation, info))
        total += reward
        if terminated or truncated:
            break
    env.close()
    server.shutdown()
    print(f"{policy} at {address}: return {total:.2f}")
    return total


if __name__ == "__main__":
    tyro.cli(main)
