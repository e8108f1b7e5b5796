"""``longdwm bench simulator``: how many frames a second one core draws, traffic included."""

import time

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.types import ImageSize, JsonObject

SCENES_PER_KIND = 2


def bench_simulator(frames: int = 600, image_size: ImageSize = (96, 144)) -> JsonObject:
    """Measure the simulator world on one core, over all kinds of road.

    What is timed is ``SimulatorWorld.advance``: traffic, drawing and everything between; processor time of one thread.
    Building a scene and its first frame are reported apart.

    Args:
        frames: to draw in all.
        image_size: (height, width) of the frames.
    """
    import cv2

    from longdwm_env.simulator.roads.road_kinds import ROAD_KINDS, kind_of_seed
    from longdwm_env.simulator.scene import builtin_scene

    seeds: list[int] = []
    for kind in ROAD_KINDS:
        candidates = (seed for seed in range(10_000) if kind_of_seed(seed) == kind)
        seeds += [next(candidates) for _ in range(SCENES_PER_KIND)]
    calls = max(1, round(frames / len(seeds) / FRAMES_PER_INTERVAL))
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    rows = []
    try:
        builtin_scene(seeds[-1] + 1)
        for seed in seeds:
            rows.append(_one(image_size, seed, calls) | {"road": kind_of_seed(seed)})
    finally:
        cv2.setNumThreads(threads)
    drawn = sum(row["frames"] for row in rows)
    result: JsonObject = {
        "image_size": list(image_size),
        "frames": drawn,
        "frames_per_cpu_second": drawn / sum(row["cpu_s"] for row in rows),
        "frames_per_second": drawn / sum(row["wall_s"] for row in rows),
        "slowest_frames_per_cpu_second": min(row["frames"] / row["cpu_s"] for row in rows),
        "build_s": max(row["build_s"] for row in rows),
        "first_frame_s": max(row["first_s"] for row in rows),
        "scenes": rows,
    }
    _show(result)
    return result


def _one(image_size: ImageSize, seed: int, calls: int) -> JsonObject:
    from longdwm_env.simulator.scene import builtin_scene
    from longdwm_env.simulator.traffic.ego_driver import drive
    from longdwm_env.worlds.simulator_world import SimulatorWorld

    world = SimulatorWorld(image_size)
    started = time.perf_counter()
    scene = builtin_scene(seed)
    build_s = time.perf_counter() - started
    state = world.begin(scene, seed)
    started = time.perf_counter()
    world.advance([state], [drive(state, seed)], 1)
    first_s = time.perf_counter() - started
    cpu_s = wall_s = 0.0
    for _ in range(calls):
        trajectory = drive(state, seed)
        cpu, wall = time.process_time(), time.perf_counter()
        (state,), _frames = world.advance([state], [trajectory], FRAMES_PER_INTERVAL)
        cpu_s += time.process_time() - cpu
        wall_s += time.perf_counter() - wall
    return {
        "seed": seed,
        "weather": state.values["weather"],
        "time_of_day": state.values["time_of_day"],
        "frames": calls * FRAMES_PER_INTERVAL,
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "build_s": build_s,
        "first_s": first_s,
    }


def _show(result: JsonObject) -> None:
    height, width = result["image_size"]
    print(f"simulator at {width}x{height}, one thread, traffic included")
    print(f"{'road':<14}{'weather':<9}{'time':<8}{'frames/cpu s':>13}{'frames/s':>10}{'build s':>9}{'first s':>9}")
    for row in result["scenes"]:
        rates = f"{row['frames'] / row['cpu_s']:>13.0f}{row['frames'] / row['wall_s']:>10.0f}"
        print(
            f"{row['road']:<14}{row['weather']:<9}{row['time_of_day']:<8}{rates}{row['build_s']:>9.2f}{row['first_s']:>9.2f}"
        )
    print(
        f"{'all':<31}{result['frames_per_cpu_second']:>13.0f}{result['frames_per_second']:>10.0f}"
        f"{result['build_s']:>9.2f}{result['first_frame_s']:>9.2f}"
    )
