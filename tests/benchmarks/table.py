"""Output of the suite: the lines as a Markdown table, and the file of rates for `amia plan`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

__all__ = ["markdown", "rates_file"]

Tree = dict[str, Any]


def markdown(lines: Sequence[Tree], failed: Sequence[str], machine: Tree, versions: dict[str, str]) -> str:
    """Format machine, versions and one row per line. Missed aims are marked, and failed parts are listed."""
    gpus = ", ".join(machine["gpus"]) or "none"
    rows = [
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; GPU: {gpus}; "
        f"vCPU:GPU {machine['vcpu_per_gpu']}; load at the start {machine['load']}",
        "",
        "Versions: " + ", ".join(f"{name} {number}" for name, number in versions.items()),
        "",
        "| line | ratio or figure | smallest to largest | by processor time | aim | sides and work |",
        "|---|---|---|---|---|---|",
    ]
    rows += [_row(line) for line in lines]
    rows += [f"| {name} | failed | | | | see its error above |" for name in failed]
    return "\n".join(rows)


def rates_file(rates: dict[str, Tree], plan: Tree, machine: Tree, versions: dict[str, str]) -> Tree:
    """Return the tree of the rates file; `README.md` describes it."""
    measured = datetime.now(UTC).isoformat(timespec="seconds")
    header = {"format": "amia-rates-1", "measured": measured, "machine": machine, "versions": versions}
    return header | {"stages": rates} | ({"plan": plan} if plan else {})


def _row(line: Tree) -> str:
    is_ratio = line["unit"] == "x"
    value = _format_number(line["value"]) + ("" if is_ratio else f" {line['unit']}")
    has_spread = line["low"] != line["high"]
    spread = f"{_format_number(line['low'])} to {_format_number(line['high'])}" if has_spread else ""
    processor = line["details"].get("processor_ratio")
    aim = "" if line["aim"] is None else f"{'at most' if line['less'] else 'at least'} {line['aim']:g}"
    if line["aim"] is not None and _is_missed(line):
        aim += " **missed**"
    sides = f"{line['ours']} : {line['theirs']}. " if line["theirs"] else ""
    processor_cell = "" if processor is None else _format_number(processor)
    return "| " + " | ".join((line["name"], value, spread, processor_cell, aim, sides + line["note"])) + " |"


def _is_missed(line: Tree) -> bool:
    return bool(line["value"] > line["aim"] if line["less"] else line["value"] < line["aim"])


def _format_number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
