"""What ``longdwm bench gpu`` found, as tables in a document."""

from pathlib import Path

from longdwm_env.types import JsonObject

BEGIN, END = "<!-- gpu check: begin -->", "<!-- gpu check: end -->"
"""Between them stands the table in a document."""


def as_markdown(found: JsonObject) -> str:
    """The results as tables."""
    facts = found["facts"]
    lines = [
        f"{facts['preset']} with random weights on {facts['device']}, torch {facts['torch']}, {facts['dtype']}; a "
        f"large matrix product reaches {_number(facts['matrix_product_tflops'], 0)} TFLOP/s. `scripts/gpu_check.sh`",
        "",
        "| drive | steps | | seconds | Coarse | Fine | encode, decode | floor, s | peak GiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for drive in found["drives"]:
        seconds = drive["seconds"]
        guidance = "" if drive["guidance_scale"] == 1 else " with guidance"
        cells = [seconds["total"], seconds["coarse"], seconds["fine"], seconds["decode"], drive["floor_s"]]
        lines.append(
            f"| {drive['what']} | {drive['coarse_steps']}{guidance} | {drive['how']} | "
            + " | ".join(_number(cell, 2) for cell in cells)
            + f" | {_number(drive['peak_memory_gib'], 1)} |"
        )
    lines += [
        "",
        "| training step of one sample | seconds | TFLOP | utilisation | peak GB | on paper, GB |",
        "|---|---|---|---|---|---|",
    ]
    for step in found["training"]:
        share = "-" if step["utilisation"] is None else f"{step['utilisation']:.0%}"
        lines.append(
            f"| {step['stage']} | {step['seconds']:.2f} | {_short(step['tflop'])} | {share} | "
            f"{_short(step['peak_memory_gb'])} | {_short(step['memory_on_paper_gb'])} |"
        )
    lines += ["", f"Tests that need a GPU: {found['tests'].get('summary', 'not run')}."]
    lines += [f"Left out: {'; '.join(found['left_out'])}."] if found["left_out"] else []
    return "\n".join(lines) + "\n"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _short(value: float | None) -> str:
    """Three digits: steps of the smallest models have thousandths, those of the full size thousands."""
    return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def put_between_marks(path: Path, table: str) -> None:
    """Put a table where an earlier one stands in a document, or at its end.

    Raises:
        InvalidConfig: one of the marks is missing.
    """
    from longdwm_env.errors import InvalidConfig
    from longdwm_env.io.files import atomic_write_bytes

    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    block = f"{BEGIN}\n{table}{END}"
    if BEGIN not in text and END not in text:
        text = f"{text.rstrip()}\n\n## `scripts/gpu_check.sh`\n\n{BEGIN}\n{END}\n".lstrip()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InvalidConfig(f"{path}: of the marks {BEGIN} and {END} one is missing")
    atomic_write_bytes(path, f"{before}{block}{after}".encode())
