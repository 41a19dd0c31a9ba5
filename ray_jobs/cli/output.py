"""Lines, tables and JSON on standard output."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ray_jobs.runtime.console import console

__all__ = ["by_part", "describe_status", "format_table", "print_json", "print_lines"]


# MERGED FROM ray_jobs.cli.output: What became of posts, in words.
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


REASONS = {
    "image=ok": "with a usable image",
    "image=no_image": "without an image",
    "synthesis=ok": "with a synthesized image",
    "synthesis=no_prompt": "whose text is no prompt",
    "synthesis=not_asked": "not synthesized: no arm asked for it",
}


def describe_status(status: str) -> str:
    """A status in words: `image=bad_image(truncated)` -> `with a broken image (truncated)`."""
    if status in REASONS:
        return REASONS[status]
    reason = status.partition("(")[2].rstrip(")")
    return f"with a broken image ({reason})" if status.startswith("image") else f"whose synthesis failed ({reason})"


def by_part(counts: Counter[str], part: str) -> Counter[str]:
    """Posts by one `part` of their pair of statuses, `image` or `synthesis`, from counts of a footer."""
    total: Counter[str] = Counter()
    for pair, count in counts.items():
        total[next(each for each in pair.split("|") if each.startswith(part))] += count
    return total
