"""A finished results table: formatted text cells, and the raw numbers behind them."""

import csv
import io
from collections.abc import Sequence
from itertools import chain, groupby
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

__all__ = ["Interval", "Table", "Value"]

Value = str | int | float | bool | None
Interval = tuple[float, float, float]
"""A difference, and the lower and upper end of its confidence interval."""


class Table(BaseModel):
    """Rows of formatted text with the numbers they were formatted from.

    Raises ValueError if the rows, headers and intervals differ in length.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    """`table1`, ... as requested by the user; also the stem of the table's files."""
    title: str
    head: list[str]
    """Column names."""
    over: list[str]
    """Data set of each column; empty for label columns."""
    rows: list[list[str]]
    """Cells, as many a row as `head` has; a dash for a missing value."""
    intervals: list[list[Interval | None]]
    """For each cell of `rows`, the difference that it shows and its confidence interval; None for other cells."""
    notes: list[str]
    """Footnotes."""
    records: Sequence[dict[str, Value]] = ()
    """Rows of the CSV file, all with the same keys in the same order; None for a missing value."""

    @model_validator(mode="after")
    def _check_shape(self) -> "Table":
        if {len(self.over), *map(len, self.rows), *map(len, self.intervals)} != {len(self.head)}:
            raise ValueError(f"table {self.name!r}: the number of cells in a row differs from the number of columns")
        if len(self.rows) != len(self.intervals):
            raise ValueError(f"table {self.name!r}: the number of rows of cells and of intervals differs")
        return self

    def markdown(self) -> str:
        """Return title, table and notes as Markdown, with padded columns.

        Column names include the data set if there is more than one.
        """
        several = len(set(filter(None, self.over))) > 1
        names = [
            f"{dataset} {name}" if several and dataset else name
            for dataset, name in zip(self.over, self.head, strict=True)
        ]
        cells = [[_escape_cell(cell) for cell in row] for row in (names, *self.rows)]
        widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
        head, *rows = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        notes = [f"- {note}" for note in self.notes]
        return "\n".join([f"## {self.title}", "", head, rule, *rows, "", *notes]).rstrip() + "\n"

    def csv(self) -> str:
        """Return the records as CSV at full precision, with a header line."""
        buffer = io.StringIO()
        if self.records:
            writer = csv.DictWriter(buffer, self.records[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.records)
        return buffer.getvalue()

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON types."""
        return self.model_dump()

    @property
    def text_columns(self) -> list[bool]:
        """Which columns hold text, which is left-aligned; numbers are right-aligned."""
        return [any(cell[:1].isalpha() for cell in column[1:]) for column in zip(self.head, *self.rows, strict=True)]

    @property
    def interval_columns(self) -> list[bool]:
        """Which columns have an interval in any row."""
        return [any(column) for column in zip(*self.intervals, strict=True)] if self.rows else [False] * len(self.head)

    @property
    def max_abs_interval(self) -> float:
        """The largest absolute value in any interval; 0 without intervals."""
        return max((abs(value) for interval in chain(*self.intervals) if interval for value in interval), default=0.0)

    @property
    def column_groups(self) -> list[tuple[str, int]]:
        """Data sets with the number of HTML columns below each; empty if there is only one data set.

        A column with intervals takes two HTML columns: one for the text, one for the plot.
        """
        if len(set(filter(None, self.over))) < 2:
            return []
        groups = groupby(range(len(self.over)), key=self.over.__getitem__)
        return [(name, sum(1 + self.interval_columns[column] for column in columns)) for name, columns in groups]


def _escape_cell(cell: str) -> str:
    """Escape what Markdown would take for the end of a cell or row."""
    return " ".join(cell.replace("|", "\\|").split())
