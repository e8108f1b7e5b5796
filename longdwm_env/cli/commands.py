"""The list of commands. Functions are named by text, so that listing them imports nothing."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command: ``module:function`` inside this package, and what it does in a few words."""

    target: str
    about: str


COMMANDS: Mapping[str, Command | Mapping[str, Command]] = {  # "" in a group: what it does with options alone
    "demo": Command("demo:demo", "drive a picture and the simulator; write videos, a contact sheet and a plot"),
    "drive": Command("drive:drive", "drive by keyboard, gamepad or wheel in a window"),
    "serve": Command("serve:serve", "drive in a browser: one page to one driver and whoever else looks on"),
    "rollout": Command("rollout:rollout", "a long video along a trajectory, without an agent"),
    "evaluate": Command("evaluate:evaluate", "run policies over scenes and rank them"),
    "serve-policy": Command("serve_policy:serve_policy", "offer a policy to evaluations on other machines"),
    "media": Command("media:media", "the pictures of README and model cards: sheets and films of a world"),
    "train": {
        "mini": Command("train:mini", "rebuild the small model from nothing, every stage in order"),
        "footage": Command("train:footage", "make or read the footage"),
        "codec": Command("train:codec", "the small codec"),
        "latents": Command("train:latents", "encode the footage, once"),
        "coarse": Command("train:coarse", "the Coarse model (Eq. 3-5)"),
        "sharpen": Command("train:sharpen", "the Coarse model on its own keyframes, and on their texture"),
        "fine": Command("train:fine", "the Fine model (Eq. 6)"),
        "warp": Command("train:warp", "the Fine model with warp guidance (section 3.4)"),
        "compose": Command("train:compose", "the compositor, on drives of its own beside a critic"),
        "distill": Command("train:distill", "the Coarse model from the Fine one (Eq. 7-8)"),
        "scorer": Command("train:scorer", "the small scorer of generated pixels"),
        "inverse-dynamics": Command("train:inverse_dynamics", "the reader of speed and yaw rate in pictures"),
        "ar-baseline": Command("train:ar_baseline", "the autoregressive baseline of the same size"),
        "export": Command("train:export", "put the trained parts together as a pipeline"),
        "ship-scorer": Command("train_ship:ship_scorer", "put the trained scorer into the package, with its card"),
        "ship-inverse-dynamics": Command(
            "train_ship:ship_inverse_dynamics", "put that reader there too, with its card"
        ),
        "ship": Command("train_ship:ship", "put the trained pipeline where world='mini' loads it from"),
        "estimate": Command("train:estimate", "memory and time of a recipe before it starts"),
        "init": Command("train_init:train_init", "Coarse and Fine starting points from a CogVideoX folder"),
        "study": Command("train_study:train_study", "does the method work? variants of it, side by side"),
        "policy": Command("train_policy:train_policy", "a small network that imitates demonstrations"),
    },
    "data": {
        "export-simulator": Command("data:export_simulator", "write simulator footage as a nuScenes dataset"),
        "import": Command(
            "data_exchange:import_data", "bring LeRobot, comma2k19, KITTI or pictures into the form of training"
        ),
        "poses": Command("data_exchange:poses", "estimate speed and yaw rate of videos from their pictures alone"),
        "check": Command("data:check", "find what is broken in a dataset or media folder"),
        "annotate": Command("annotate:annotate", "write captions with a video language model"),
    },
    "bench": {
        "warp": Command("bench_warp:bench_warp", "homography against literal splatting"),
        "simulator": Command("bench_simulator:bench_simulator", "frames per second of the simulator"),
        "env": Command("bench_env:bench_env", "start, step, fork and restore times of the environment"),
        "drive": Command("bench_drive:bench_drive", "latency and frame rate of the driving window"),
        "world": Command("bench_world:bench_world", "a learned world by stage, its futures and its memory"),
        "full-size": Command(
            "bench_full_size:bench_full_size", "the full-size model by stage, beside the floor, or on paper"
        ),
        "gpu": Command("bench_gpu:bench_gpu", "what only a GPU can show of the full size, in ten minutes"),
    },
    "metrics": {
        "": Command("compare:folders", "compare a folder of generated videos with one of real ones"),
        "truth": Command("quality:truth", "how good a world is: PSNR, SSIM and FDS against the simulator"),
        "obey": Command("quality:obey", "how good a world is: does it show what was commanded"),
        "last": Command("quality:last", "how good a world is: drives of 90 s, drift and collapse"),
        "detail": Command("quality:detail", "how good a world is: fine detail of its pictures, up to 90 s"),
        "cars": Command("quality:cars", "how good a world is: does the vehicle ahead stay there"),
        "identity": Command("quality:identity", "how good a world is: do things beside the road stay themselves"),
        "text": Command("quality:text", "how good a world is: are prompted weather and time recognised"),
        "short": Command("metrics:short", "the paper's short protocol (Table 1)"),
        "long": Command("metrics:long", "the paper's long protocol (Table 2)"),
        "controllable": Command("metrics:controllable", "the paper's controllable protocol (Table 4)"),
        "interpolation": Command("metrics:interpolation", "the paper's interpolation protocol (Table 8)"),
        "ablation": Command("metrics:ablation", "the paper's ablation (Table 6)"),
        "distillation-steps": Command(
            "metrics:distillation_steps", "the paper's count of distillation steps (Table 10)"
        ),
        "compare-page": Command("compare:compare_page", "a page of side-by-side pairs for people to judge"),
        "win-rates": Command("compare:win_rates", "win rates from what people chose"),
        "scorer": Command("metrics:scorer", "how well the scorer reads footage that nothing was trained on"),
        "inverse-dynamics": Command("metrics:inverse_dynamics", "how well speed and yaw rate are read, likewise"),
    },
    "doctor": Command("doctor:doctor", "versions, device, codecs, display, and what is missing for each feature"),
}
