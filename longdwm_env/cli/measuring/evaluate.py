"""``longdwm evaluate``: judge policies, and judge the world that judges them."""

from pathlib import Path
from typing import Annotated

import tyro

from longdwm_env.episodes.kept_seeds import FIRST_TEST_SEED


def evaluate(
    policy: Annotated[list[str], tyro.conf.UseAppendAction],
    world: str = "simulator",
    scenes: str | None = None,
    episodes: int = 10,
    out: Path = Path("outputs/evaluation"),
    processes: int = 1,
    cluster: str | None = None,
    validate: bool = False,
    first_scene: int | None = None,
    seed: int = 0,
    max_episode_s: float = 20.0,
    control_period_s: float = 1.0,
    image_size: tuple[int, int] | None = None,
    device: str | None = None,
    prompt: str | None = None,
    action_mode: str = "trajectory",
    obs_mode: str = "video",
    reference: str = "idm",
    rank_by: str | None = None,
    videos: bool = True,
    step_timeout_s: float = 120.0,
    road: str | None = None,
    speed: float | None = None,
) -> int:
    """Drive every policy through the same scenes; write report.html, episodes.csv and summary.json.

    A run that was stopped goes on where it was when it is started again with the same options.

    Args:
        policy: a policy's name, once for each: idm, mppi:samples=64, module:factory, file.py, file.safetensors,
            ws://host:port; any with noise=, delay=, aggression= or blind=true.
        world: simulator (the default: what should have happened), warp, mini, or a saved pipeline.
        scenes: where episodes start: a nuScenes dataroot, images, a video; default: the built-in scenes.
        episodes: per policy, each in another scene as long as there are more.
        out: folder for the results.
        processes: episodes at once on this machine.
        cluster: run on a Ray cluster instead: local, auto, or its address.
        validate: run the same policies (at least 8) in the simulator too, and there with black pictures, and report
            how well the world predicts it.
        first_scene: index of the first scene; default: the first built-in one kept for testing, or 0.
        seed: of the first episode.
        max_episode_s: longest episode; NAVSIM scores 4 s.
        control_period_s: time between two actions.
        image_size: height and width of the frames.
        device: where a learned world runs.
        prompt: weather and time of day for all scenes.
        action_mode: for policies that do not say themselves.
        obs_mode: for policies that do not say themselves.
        reference: the driver whose progress is what can be made in a scene; none does without.
        rank_by: the number to rank by; default: the PDM score where every episode has it, else the return.
        videos: record every episode.
        step_timeout_s: a policy that takes longer for one step has failed.
        road: that a picture or video shows: straight, a curvature in 1/m, or straight,lanes=2,width=3.2,cars=4. It gets
            a map, and with it lanes, rewards and traffic; docs/scenes.md has all words.
        speed: m/s at the start of a picture or video; default: its own where that is known, else 8.
    """
    from longdwm_env.cli.extras import need

    if cluster is not None:
        need("evaluate --cluster", "cluster", "ray")
    if any(name.startswith(("ws://", "wss://")) for name in policy):
        need("a remote policy", "remote", "websockets")
    from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig
    from longdwm_env.evaluation.policies.result_files import as_text
    from longdwm_env.evaluation.policies.runner import evaluate as run
    from longdwm_env.evaluation.policies.validation import validate as run_validation
    from longdwm_env.scenes.made_roads import with_words

    scenes = with_words(scenes, road, speed)
    config = EvaluationConfig(
        policies=tuple(policy),
        world=world,
        scenes=scenes,
        episodes=episodes,
        first_scene=(FIRST_TEST_SEED if scenes is None else 0) if first_scene is None else first_scene,
        seed=seed,
        control_period_s=control_period_s,
        max_episode_s=max_episode_s,
        image_size=image_size,
        device=device,
        prompt=prompt,
        action_mode=action_mode,
        obs_mode=obs_mode,
        reference=None if reference == "none" else reference,
        videos=videos,
        step_timeout_s=step_timeout_s,
    )
    if validate:
        print(run_validation(config, out, processes, cluster, rank_by).as_text())
        print(f"written: {(out / 'validation.html').resolve()}")
        return 0
    print(as_text(run(config, out, processes, cluster, rank_by)))
    print(f"written: {(out / 'report.html').resolve()}")
    return 0
