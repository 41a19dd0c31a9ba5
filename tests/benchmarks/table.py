"""The lines as a Markdown table, and the rates as the file that a plan reads."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

__all__ = ["markdown", "rates_file"]

Found = dict[str, Any]
"""A line as JSON."""


def markdown(lines: Sequence[Found], failed: Sequence[str], machine: Found, versions: dict[str, str]) -> str:
    """Machine and versions, then a row a line; what was missed is marked and what broke is named."""
    gpus = ", ".join(machine["gpus"]) or "none"
    said = [
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; GPU: {gpus}; "
        f"vCPU:GPU {machine['vcpu_per_gpu']}; load when it began {machine['load']}",
        "",
        "Versions: " + ", ".join(f"{name} {number}" for name, number in versions.items()),
        "",
        "| line | ratio or figure | smallest to largest | by processor time | aim | sides and work |",
        "|---|---|---|---|---|---|",
    ]
    said += [_row(line) for line in lines]
    said += [f"| {name} | did not finish | | | | its error stands above |" for name in failed]
    return "\n".join(said)


def rates_file(rates: dict[str, Found], plan: Found, machine: Found, versions: dict[str, str]) -> Found:
    """See `README.md`."""
    measured = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"format": "amia-rates-1", "measured": measured, "machine": machine, "versions": versions}
    return about | {"stages": rates} | ({"plan": plan} if plan else {})


def _row(line: Found) -> str:
    ratio = line["unit"] == "x"
    value = _number(line["value"]) + ("" if ratio else f" {line['unit']}")
    spread = f"{_number(line['low'])} to {_number(line['high'])}" if line["low"] != line["high"] else ""
    processor = line["details"].get("processor_ratio")
    aim = "" if line["aim"] is None else f"{'at most' if line['less'] else 'at least'} {line['aim']:g}"
    if line["aim"] is not None and _missed(line):
        aim += " **missed**"
    sides = f"{line['ours']} : {line['theirs']}. " if line["theirs"] else ""
    told = (line["name"], value, spread, "" if processor is None else _number(processor), aim, sides + line["note"])
    return "| " + " | ".join(told) + " |"


def _missed(line: Found) -> bool:
    return bool(line["value"] > line["aim"] if line["less"] else line["value"] < line["aim"])


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
