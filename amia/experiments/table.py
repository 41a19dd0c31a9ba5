"""A finished table: text cells for people, the same as raw numbers for machines."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Interval", "Table", "Value"]

Value = str | int | float | bool | None
Interval = tuple[float, float, float]
"""A difference, and the two ends of its interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text, and the numbers that they were written from."""

    name: str
    """`table1`, ... as it is asked for; also the name of its files."""
    title: str
    head: list[str]
    over: list[str]
    """The data set of each column; empty over labels."""
    rows: list[list[str]]
    """As many cells a row as `head` has; a dash where there is nothing to show."""
    intervals: list[list[Interval | None]]
    """What can be drawn of each cell of `rows`: of a comparison what its text says."""
    notes: list[str]
    """Sentences that say what the numbers are."""
    records: Sequence[Mapping[str, Value]]
    """One a line of the CSV, all with the same keys in the same order; None where there is nothing."""

    def markdown(self) -> str:
        """Title, table and notes; columns are padded, so that the source reads as well as the page.

        Columns are named after their data set where there are several; else the notes alone name it.
        """
        several = len(set(filter(None, self.over))) > 1
        names = [
            f"{over} {name}" if several and over else name for over, name in zip(self.over, self.head, strict=True)
        ]
        cells = [[_escaped(cell) for cell in row] for row in (names, *self.rows)]
        widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
        head, *rows = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        notes = [f"- {note}" for note in self.notes]
        return "\n".join([f"## {self.title}", "", head, rule, *rows, "", *notes]).rstrip() + "\n"

    def csv(self) -> str:
        """The records, numbers at full precision; the first line names the columns."""
        written = io.StringIO()
        if self.records:
            writer = csv.DictWriter(written, self.records[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.records)
        return written.getvalue()

    def to_json(self) -> dict[str, Any]:
        """Everything of it."""
        return {
            "name": self.name,
            "title": self.title,
            "head": self.head,
            "over": self.over,
            "rows": self.rows,
            "intervals": self.intervals,
            "notes": self.notes,
            "records": [dict(record) for record in self.records],
        }


def _escaped(cell: str) -> str:
    """A name may hold what Markdown would take for the end of a cell, or of the row."""
    return " ".join(cell.replace("|", "\\|").split())
