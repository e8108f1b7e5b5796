"""``longdwm bench full-size --on-paper``: what every stage costs at full size, counted without a GPU."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longdwm_env.models.costs import Ledger, Pass
    from longdwm_env.models.network.module_costs import Cost
    from longdwm_env.models.presets import LongDWMConfig
    from longdwm_env.training.config import Recipe, StageConfig
    from longdwm_env.training.scaling.step_costs import StepCost

GB = 1e9
SIZES_GB = (24, 48, 80)


@dataclass(frozen=True)
class Device:
    """An accelerator as its maker describes it.

    Attributes:
        name: of it.
        flops: dense bfloat16 products a second.
        bandwidth: bytes a second.
        float8: dense float8 products a second; None where there are none.
    """

    name: str
    flops: float
    bandwidth: float
    float8: float | None = None

    def seconds(self, cost: "Cost", utilisation: float, *, in_float8: bool = False) -> float | None:
        """Of the arithmetic; of that of linear layers in float8, None where that is not to be had."""
        if not in_float8:
            return cost.flops / self.flops / utilisation
        if self.float8 is None:
            return None
        return ((cost.flops - cost.linear) / self.flops + cost.linear / self.float8) / utilisation


DEVICES = (
    Device("H200", 989e12, 4.8e12, 1979e12),
    Device("A100 80 GB", 312e12, 2.04e12),
    Device("RTX 4090", 165e12, 1.01e12, 330e12),
)
GOALS = {"145 frames": 5.0, "closed-loop second": 0.5}
"""Seconds on one H200 with the small decoder."""

IN_FLOAT8 = "linear layers in float8"
"""What ``--weights float8-dynamic`` does when timed."""

DRIVES: Mapping[str, tuple[float, int | None]] = {"145 frames": (12.0, None), "closed-loop second": (1.0, 1)}


def on_paper(
    preset: str,
    steps: Sequence[int],
    guidance_scale: float,
    utilisation: float,
    training: bool,
    out: Path | None,
    history_keyframes: int | None = None,
) -> int:
    """Print the tables; see ``bench_full_size`` for the arguments."""
    from longdwm_env.errors import InvalidConfig
    from longdwm_env.io.files import atomic_write_json
    from longdwm_env.models.costs import SMALLEST, Ledger

    if preset not in SMALLEST:
        raise InvalidConfig(f"--on-paper counts {', '.join(SMALLEST)}; leave it out to time {preset}")
    if not 0 < utilisation <= 1:
        raise InvalidConfig(f"--utilisation lies above 0 and up to 1, got {utilisation}")
    ledger = Ledger(configured(preset, history_keyframes), text_encoder=True)
    drives = [_driven(ledger, what, count, guidance_scale if i == 0 else 1.0) for i, count in enumerate(steps)
              for what in DRIVES]  # fmt: skip
    print(f"{preset}, bfloat16, {utilisation:.0%} of the bfloat16 products that the makers state\n")
    print(_stages_table(drives, utilisation))
    print(_seconds_table(drives, utilisation))
    print(*_goals(drives, utilisation), sep="\n", end="\n\n")
    histories = _histories(ledger, steps[1:])
    print(_histories_table(histories, utilisation))
    settings = _settings(ledger)
    print(_fits_table("to generate", settings))
    counted: list[StepCost] = []
    if training:
        counted, rows = _training(preset, utilisation)
        print(_table(("to train, one sample at a time", "trained", "TFLOP a sample",
                      f"H200, s a sample at {utilisation:.0%}", *_FITS), rows))  # fmt: skip
    if out is not None:
        results = {
            "preset": preset,
            "utilisation": utilisation,
            "drives": [drive.as_json() for drive in drives],
            "histories": [{"history_keyframes": seen, **drive.as_json()} for seen, drive in histories],
            "memory": settings,
            "training": [asdict(step) for step in counted],
        }
        atomic_write_json(out, results)
        print(f"written: {out}")
    return 0


def configured(preset: str, history_keyframes: int | None) -> "LongDWMConfig":
    """A preset, with another number of keyframes in sight of a closed loop if one is given.

    Raises:
        InvalidConfig: there is no such preset, or it cannot see so many.
    """
    from longdwm_env.errors import InvalidConfig
    from longdwm_env.models.presets import PRESETS

    if preset not in PRESETS:
        raise InvalidConfig(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    config = PRESETS[preset]()
    if history_keyframes is None:
        return config
    return replace(config, settings=replace(config.settings, history_keyframes=history_keyframes))


@dataclass(frozen=True)
class CountedDrive:
    """What a drive costs.

    Attributes:
        what: of ``DRIVES``.
        steps: denoising steps of both models.
        guidance_scale: 1 is off.
        costs: by part; the two decoders are alternatives, and the small one is missing where there is none.
    """

    what: str
    steps: int
    guidance_scale: float
    costs: "Mapping[str, Cost]"

    def total(self, *, small: bool) -> "Cost":
        """Of all parts, with one of the decoders."""
        from longdwm_env.models.network.module_costs import Cost

        left_out = "decode" if small else "small decode"
        return sum((cost for part, cost in self.costs.items() if part != left_out), Cost())

    def as_json(self) -> dict[str, object]:
        """Everything as JSON values."""
        return asdict(self)


def _driven(
    ledger: "Ledger", what: str, steps: int, guidance_scale: float, history_keyframes: int | None = None
) -> CountedDrive:
    from longdwm_env.models.costs import drive_passes
    from longdwm_env.models.network.module_costs import Cost

    config = ledger.config if history_keyframes is None else configured(ledger.config.name, history_keyframes)
    seconds, at_once = DRIVES[what]
    # Steps and guidance repeat the denoisers' passes and nothing else; a drive of one step shows all kinds.
    repeats = steps * (1 if guidance_scale == 1 else 2)
    costs: dict[str, Cost] = {}

    def add(done: "Pass", count: int) -> None:
        costs[done.part] = costs.get(done.part, Cost()) + ledger.cost(done).times(count)

    for done, count in drive_passes(config, seconds, at_once):
        add(done, count * (repeats if done.part in ("coarse", "fine") else 1))
        if done.part == "decode":
            add(replace(done, part="small decode"), count)
    return CountedDrive(what, steps, guidance_scale, costs)


def _stages_table(drives: Iterable[CountedDrive], utilisation: float) -> str:
    fastest = DEVICES[0]
    rows = [
        (
            f"{drive.what}, {_steps(drive)}",
            part,
            f"{cost.flops / 1e12:,.1f}",
            f"{cost.traffic / GB:,.0f}",
            f"{cost.held / GB:.1f}",
            f"{cost.flops / fastest.flops / utilisation:.3f}",
            f"{cost.traffic / fastest.bandwidth:.3f}",
        )
        for drive in drives
        for part, cost in drive.costs.items()
    ]
    headings = ("drive", "part", "TFLOP", "GB moved", "GB held", f"{fastest.name}: s of arithmetic", "s of moving")
    return _table(headings, rows)


def _seconds_table(drives: Iterable[CountedDrive], utilisation: float) -> str:
    rows = []
    kinds = {"own decoder": (False, False), "small decoder": (True, False), f"small decoder, {IN_FLOAT8}": (True, True)}
    for drive in drives:
        for kind, (small, in_float8) in kinds.items():
            cost = drive.total(small=small)
            taken = [device.seconds(cost, utilisation, in_float8=in_float8) for device in DEVICES]
            name = f"{drive.what}, {_steps(drive)}, {kind}"
            rows.append((name, *("-" if seconds is None else f"{seconds:.2f}" for seconds in taken)))
    return _table(("seconds", *(device.name for device in DEVICES)), rows)


def _goals(drives: Sequence[CountedDrive], utilisation: float) -> list[str]:
    lines = []
    for drive in drives:
        if drive.guidance_scale != 1:
            continue
        goal, told = GOALS[drive.what], []
        for in_float8 in (False, True):
            seconds = DEVICES[0].seconds(drive.total(small=True), utilisation, in_float8=in_float8)
            assert seconds is not None
            how = f" with {IN_FLOAT8}" if in_float8 else ""
            told.append(f"{seconds:.2f} s{how}, {'reached' if seconds <= goal else 'not reached'}")
        lines.append(f"goal: {drive.what} within {goal:g} s at {_steps(drive)}: {'; '.join(told)}")
    return lines


def _histories(ledger: "Ledger", steps: Sequence[int]) -> list[tuple[int, CountedDrive]]:
    """Closed-loop seconds without guidance, by how many keyframes of history the Coarse model is shown."""
    most = ledger.config.settings.history_keyframes
    seen = range(most, 0, -1)
    return [(number, _driven(ledger, "closed-loop second", count, 1.0, number)) for number in seen for count in steps]


def _histories_table(histories: Sequence[tuple[int, CountedDrive]], utilisation: float) -> str:
    fastest, goal = DEVICES[0], GOALS["closed-loop second"]
    rows = []
    for seen, drive in histories:
        row = [f"{drive.what}, {_steps(drive)}, small decoder, {seen} of history"]
        for in_float8 in (False, True):
            taken = fastest.seconds(drive.total(small=True), utilisation, in_float8=in_float8)
            assert taken is not None
            row.append(f"{taken:.2f}{', reached' if taken <= goal else ''}")
        rows.append(row)
    return _table((f"goal: {goal:g} s on one {fastest.name}", "s", f"s, {IN_FLOAT8}"), rows)


def _settings(ledger: "Ledger") -> dict[str, float]:
    """Bytes at most, by what is in memory at once."""
    from longdwm_env.models.costs import Ledger, Pass

    frames, latents = 13, ledger.pipeline.codec.latent_frames(13)
    future = ledger.config.settings.keyframes - 1
    tiled = Ledger(ledger.config, ledger.dtype, tiled=True)

    def most(gaps: int, codec: "Ledger") -> dict[str, float]:
        """Held by each part's largest pass."""
        return {
            "coarse": ledger.cost(Pass("coarse", 1, 1 + future)).held,
            "fine": ledger.cost(Pass("fine", gaps, latents)).held,
            "vae": max(
                codec.cost(done).held
                for done in (
                    Pass("encode", gaps, frames),
                    Pass("decode", gaps, latents),
                    Pass("encode", future, 1),
                    Pass("decode", future, 1),
                )
            ),
        }

    models = ("coarse", "fine", "vae")
    weights = {name: ledger.weights(name) for name in (*models, "text_encoder")}
    resident = sum(weights[name] for name in models)
    found = {"all of it with T5, 12 gaps at once": resident + weights["text_encoder"] + max(most(12, ledger).values())}
    for gaps in (12, 4, 1):
        found[f"without T5 (embedding given), {gaps} gaps at once"] = resident + max(most(gaps, ledger).values())
    small = most(1, tiled)
    found["without T5, 1 gap, autoencoder in tiles"] = resident + max(small.values())
    found["the same, blocks in int8"] = resident + max(small.values()) - ledger.saved_by_eight_bits()
    found["one model at a time (enable_model_cpu_offload), with T5, 1 gap, tiles"] = max(
        weights["text_encoder"] + ledger.cost(Pass("text", 1, _words(ledger))).held,
        *(weights[name] + small[name] for name in models),
    )
    return found


def _words(ledger: "Ledger") -> int:
    return int(ledger.pipeline.coarse.config.max_text_seq_length)


def recipe_of(preset: str) -> "Recipe":
    """By which a preset is trained."""
    from longdwm_env.training.recipes import recipe

    return recipe("cogvideox-2b-nuscenes", "full" if preset == "cogvideox-2b" else "debug")


def one_sample(chosen: "Recipe", stage: str) -> "StageConfig":
    """A stage's settings with one sample a step, in bfloat16."""
    config = chosen.stage(stage)
    return replace(config, loop=replace(config.loop, micro_batch_size=1, batch_size=1, precision="bf16"))


def _training(preset: str, utilisation: float) -> tuple[list["StepCost"], list[tuple[str, ...]]]:
    from longdwm_env.models.speed import is_installed
    from longdwm_env.training.scaling.lora import LoraChoices
    from longdwm_env.training.scaling.step_costs import COUNTED, bytes_of_moments, step_cost
    from longdwm_env.training.stage_list import STAGES

    chosen = recipe_of(preset)
    steps: list[StepCost] = []
    rows = []
    for stage in COUNTED:
        config = one_sample(chosen, stage)
        plain = step_cost(chosen, stage, config)
        kinds = [(stage, plain, 1)]
        if STAGES[stage].is_transformer:
            kinds.append((f"{stage}, shared by 8", plain, 8))
        if is_installed("torchao"):
            eight = replace(config, optimizer=replace(config.optimizer, moments="8bit"))
            kinds.append((f"{stage}, 8-bit moments", replace(plain, moments=bytes_of_moments(chosen, stage, eight)), 1))
        if is_installed("peft") and stage in ("coarse", "fine"):
            few = step_cost(chosen, stage, replace(config, lora=LoraChoices(64)))
            kinds.append((f"{stage}, LoRA of rank 64", few, 1))
            steps.append(few)
        steps.append(plain)
        for name, step, processes in kinds:
            seconds = step.cost.flops / DEVICES[0].flops / utilisation
            rows.append((name, f"{step.trained / 1e6:,.0f} M", f"{step.cost.flops / 1e12:,.0f}", f"{seconds:.2f}",
                         *_fits(step.bytes_in_all(processes))))  # fmt: skip
    return steps, rows


_FITS = ("GB", *(f"fits {size} GB" for size in SIZES_GB))


def _fits(held: float) -> tuple[str, ...]:
    from longdwm_env.training.estimate import USABLE

    return f"{held / GB:.1f}", *("yes" if held < USABLE * size * GB else "no" for size in SIZES_GB)


def _fits_table(what: str, settings: Mapping[str, float]) -> str:
    return _table((what, *_FITS), [(name, *_fits(held)) for name, held in settings.items()])


def _steps(drive: CountedDrive) -> str:
    return f"{drive.steps} steps" + ("" if drive.guidance_scale == 1 else " with guidance")


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
