"""Lines, tables and JSON on standard output."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ray_jobs.runtime.console import console

__all__ = ["format_table", "print_json", "print_lines"]


def print_lines(lines: Sequence[str]) -> None:
    """Plain lines."""
    for line in lines:
        console.print(line)


def print_json(about: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json.dumps(about, ensure_ascii=False, sort_keys=True))


def format_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with their cells under each other, the first to the left; never squeezed to a terminal's width."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
