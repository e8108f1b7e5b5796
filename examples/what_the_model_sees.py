"""What a model is shown of the second ahead, beside what came of it: one picture."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import tyro

from longdwm_env.geometry.layout import draw_layout, layout_along
from longdwm_env.geometry.map_view.map_picture import draw_map
from longdwm_env.geometry.map_view.scenery import scenery_along
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.sweep import DEFAULT_PLANES, SweepSettings, predicted_images
from longdwm_env.geometry.warp import WarpSettings, warp_images
from longdwm_env.io.figures import SheetRow, contact_sheet, save_picture
from longdwm_env.scenes import open_scenes

REACH_M = 300.0


def main(world: str = "mini", seed: int = 1_000_224, out: Path = Path("outputs/what-the-model-sees.webp")) -> int:
    """Drive two seconds at the scene's own speed; draw the views of the last one. Returns how many were drawn."""
    made = {name: gym.make("LongDWM-v0", world=name, max_episode_s=5.0) for name in dict.fromkeys((world, "simulator"))}
    states, after = {}, {}
    for name, env in made.items():
        observation, _ = env.reset(seed=seed)
        ahead = observation["ego"][0] * np.array([[0.5, 0], [1, 0], [1.5, 0], [2, 0]])
        for _ in range(2):
            states[name] = env.unwrapped.get_state()
            env.step(ahead)
        after[name] = env.unwrapped.get_state()
        env.close()

    before, now = states[world].frames[-7], states[world].newest_frame
    camera, here = states[world].camera, states[world].ego.pose
    poses = after[world].ego_poses
    pose = relative_to(poses[-1:], here[None])
    warped = warp_images(now, camera, pose, WarpSettings())
    earlier = relative_to(states[world].ego_poses[-7][None], here[None])[0]
    swept = predicted_images(now, camera, pose, before, earlier, warped, SweepSettings(DEFAULT_PLANES))
    road_map = open_scenes(None).scene(seed).road_map
    layout = layout_along(road_map, poses)
    scenery = scenery_along(road_map, poses, REACH_M)
    actors = after["simulator"].world_state.actors
    shown = {
        "now": now,
        "warped (Eq. 9)": warped[0],
        "matched sweep": swept[0],
        "road, from the map": draw_layout(layout, camera, poses[-1]),
        "map, depth known": draw_map(layout, scenery, actors, -1, camera, poses[-1]).picture,
    }
    came = {name: state.newest_frame for name, state in after.items()}
    rows = [("what is known of the second ahead", shown), ("what came of it", came)]
    sheet = contact_sheet([SheetRow(title, np.stack(list(cells.values())), tuple(cells)) for title, cells in rows])
    save_picture(out, sheet)
    print(f"{len(shown) + len(came)} pictures: {out}")
    return len(shown) + len(came)


if __name__ == "__main__":
    tyro.cli(main)
