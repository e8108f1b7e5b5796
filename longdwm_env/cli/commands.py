"""The list of commands. Functions are named by text, so that listing them imports nothing."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command: ``module:function`` inside this package, and what it does in a few words."""

    target: str
    about: str


TRAIN: Mapping[str, Command] = {
    "mini": Command("train:mini", "rebuild the small model from nothing, every stage in order"),
    "mine": Command("building.train_mine:mine", "a world of your own road, from videos of it, within an hour"),
    "footage": Command("train:footage", "make or read the footage"),
    "codec": Command("train:codec", "the small codec"),
    "latents": Command("train:latents", "encode the footage, once"),
    "coarse": Command("train:coarse", "the Coarse model (Eq. 3-5)"),
    "sharpen": Command("train:sharpen", "closed-loop fine-tuning: the Coarse model on its own keyframes"),
    "fine": Command("train:fine", "the Fine model (Eq. 6)"),
    "warp": Command("train:warp", "the Fine model with warp guidance (section 3.4)"),
    "compose": Command("train:compose", "the compositor, on drives of its own beside a critic"),
    "distill": Command("train:distill", "the Coarse model from the Fine one (Eq. 7-8)"),
    "few-steps": Command("train:few_steps", "Coarse and Fine in 1 to 4 steps without guidance"),
    "decoder": Command("train:decoder", "a small streaming decoder in place of CogVideoX's"),
    "scorer": Command("train:scorer", "the small scorer of generated pixels"),
    "inverse-dynamics": Command("train:inverse_dynamics", "the reader of speed and yaw rate in pictures"),
    "ar-baseline": Command("train:ar_baseline", "the autoregressive baseline of the same size"),
    "export": Command("train:export", "put the trained parts together as a pipeline"),
    "ship-scorer": Command("building.train_ship:ship_scorer", "put the trained scorer into the package, with its card"),
    "ship-inverse-dynamics": Command(
        "building.train_ship:ship_inverse_dynamics", "put that reader there too, with its card"
    ),
    "ship": Command("building.train_ship:ship", "put the trained pipeline where world='mini' loads it from"),
    "estimate": Command("train:estimate", "memory and time of a recipe before it starts"),
    "init": Command("building.train_init:train_init", "Coarse and Fine starting points from a CogVideoX folder"),
    "study": Command("building.train_study:train_study", "does the method work? variants of it, side by side"),
    "policy": Command("building.train_policy:train_policy", "a small network that imitates demonstrations"),
}

COMMANDS: Mapping[str, Command | Mapping[str, Command]] = {  # "" in a group: what it does with options alone
    "demo": Command("drives.demo:demo", "drive a picture and the simulator; write videos, a contact sheet and a plot"),
    "drive": Command("drives.drive:drive", "drive by keyboard, gamepad or wheel in a window"),
    "serve": Command("drives.serve:serve", "drive in a browser: one page to one driver and any number of viewers"),
    "rollout": Command("drives.rollout:rollout", "a long video along a trajectory, without an agent"),
    "evaluate": Command("measuring.evaluate:evaluate", "run policies over scenes and rank them"),
    "serve-policy": Command("drives.serve_policy:serve_policy", "offer a policy to evaluations on other machines"),
    "media": Command(
        "drives.pictures_of_drives:media", "the pictures of README and model cards: sheets and films of a world"
    ),
    "train": TRAIN,
    "data": {
        "export-simulator": Command("data.data_sets:export_simulator", "write simulator footage as a nuScenes dataset"),
        "export-lerobot": Command(
            "data.data_export:export_lerobot", "write drives of any world as a LeRobot v3 data set"
        ),
        "import": Command(
            "data.data_exchange:import_data", "bring LeRobot, comma2k19, KITTI or pictures into the form of training"
        ),
        "poses": Command("data.data_exchange:poses", "estimate speed and yaw rate of videos from their pictures alone"),
        "check": Command("data.data_sets:check", "find what is broken in a dataset or media folder"),
        "annotate": Command("data.annotate:annotate", "write captions with a video language model"),
    },
    "bench": {
        "warp": Command("benchmarks.bench_warp:bench_warp", "homography against literal splatting"),
        "simulator": Command("benchmarks.bench_simulator:bench_simulator", "frames per second of the simulator"),
        "env": Command("benchmarks.bench_env:bench_env", "start, step, fork and restore times of the environment"),
        "drive": Command("benchmarks.bench_drive:bench_drive", "latency and frame rate of the driving window"),
        "serve": Command("benchmarks.bench_serve:bench_serve", "latency of the page, alone and with many who look on"),
        "world": Command("benchmarks.bench_world:bench_world", "a learned world by stage, its futures and its memory"),
        "full-size": Command(
            "benchmarks.bench_full_size:bench_full_size", "the full-size model by stage, beside the floor, or on paper"
        ),
        "gpu": Command("benchmarks.bench_gpu:bench_gpu", "what only a GPU can show of the full size, in ten minutes"),
    },
    "metrics": {
        "": Command("measuring.compare:folders", "compare a folder of generated videos with one of real ones"),
        "truth": Command(
            "measuring.world_quality:truth", "how good a world is: PSNR, SSIM and FDS against the simulator"
        ),
        "footage": Command(
            "measuring.world_quality:footage", "how good a world is on real footage: PSNR, detail and FDS"
        ),
        "obey": Command("measuring.world_quality:obey", "how good a world is: controllability"),
        "last": Command("measuring.world_quality:last", "how good a world is: long-horizon stability, up to 90 s"),
        "detail": Command(
            "measuring.world_quality:detail", "how good a world is: fine detail of its pictures, up to 90 s"
        ),
        "vehicles": Command(
            "measuring.world_quality:vehicles", "how good a world is: vehicles in view up to 90 s, and their looks"
        ),
        "cars": Command("measuring.world_quality:cars", "how good a world is: does the vehicle ahead stay there"),
        "identity": Command(
            "measuring.world_quality:identity", "how good a world is: do things beside the road stay themselves"
        ),
        "text": Command(
            "measuring.world_quality:text", "how good a world is: are prompted weather and time recognised"
        ),
        "tables": Command("measuring.all_tables:tables", "all tables above, together, on scenes that are sealed"),
        "short": Command("measuring.paper_metrics:short", "the paper's short protocol (Table 1)"),
        "long": Command("measuring.paper_metrics:long", "the paper's long protocol (Table 2)"),
        "controllable": Command("measuring.paper_metrics:controllable", "the paper's controllable protocol (Table 4)"),
        "interpolation": Command(
            "measuring.paper_metrics:interpolation", "the paper's interpolation protocol (Table 8)"
        ),
        "steps": Command("measuring.steps:steps", "what fewer denoising steps cost in PSNR and FDS"),
        "ablation": Command("measuring.paper_metrics:ablation", "the paper's ablation (Table 6)"),
        "distillation-steps": Command(
            "measuring.paper_metrics:distillation_steps", "the paper's count of distillation steps (Table 10)"
        ),
        "compare-page": Command("measuring.compare:compare_page", "a page of side-by-side pairs for people to judge"),
        "win-rates": Command("measuring.compare:win_rates", "win rates from what people chose"),
        "scorer": Command(
            "measuring.paper_metrics:scorer", "how well the scorer reads footage that nothing was trained on"
        ),
        "inverse-dynamics": Command(
            "measuring.paper_metrics:inverse_dynamics", "how well speed and yaw rate are read, likewise"
        ),
    },
    "doctor": Command("doctor:doctor", "versions, device, codecs, display, and what is missing for each feature"),
}
