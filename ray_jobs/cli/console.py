"""Printing helpers of the commands: lines and tables for people, one JSON object for machines."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ray_jobs.runtime.console import console

__all__ = ["console", "format_table", "print_json", "print_lines"]


def print_lines(lines: Iterable[str]) -> None:
    """Print each line, with control characters escaped."""
    for line in lines:
        console.print(line)


def print_json(data: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(data, ensure_ascii=False, sort_keys=True))


def format_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines with aligned columns: the first to the left, the others to the right.

    Columns are never cut or wrapped to the width of the terminal.
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
