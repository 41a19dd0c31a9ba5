"""Specifications of the tables: their titles, columns and rows, without results."""

from collections.abc import Sequence
from dataclasses import dataclass

from amia.experiments.results import Part
from amia.experiments.run_specs import RunSpec, run_specs
from amia.experiments.score_grid import Pair, Subset

__all__ = ["RowSpec", "TableSpec", "table_spec"]

_TITLES = {
    "table1": "Table 1: text only, original images, augmented images",
    "table2": "Table 2: choice of the mixing ratio",
    "table3": "Table 3: mismatched and matched posts",
    "controls": "Controls: sources of the improvement",
}
_INPUT_LABELS = {
    "text": "text",
    "original": "text + original image",
    "adaptive": "text + augmented image",
    "two-sided": "text + two-sided image",
}
_RATIO_LABELS = {
    "adaptive": "adaptive: theta of each post",
    "two-sided": "two-sided: theta compared with theta of the synthesized image",
    "cosine": "cosine similarity as theta",
    "original": "original, theta = 1",
    "synthesized": "synthesized, theta = 0",
    "fixed-0.7": "theta = 0.7",
    "fixed-0.5": "theta = 0.5",
    "fixed-0.3": "theta = 0.3",
}
_CONTROL_LABELS = {
    "adaptive": "adaptive",
    "two-sided": "two-sided",
    "original": "original",
    "text": "none, text only",
    "random": "random image of the same data set",
    "noise": "noise",
    "constant": "mixed, constant theta (mean)",
    "shuffled": "mixed, theta shuffled across posts",
    "two-sided-shuffled": "two-sided, theta of the synthesized images shuffled across posts",
}
_SWAPPED_LABELS = {
    "adaptive": "adaptive, swapped at evaluation",
    "original": "original, swapped at evaluation",
}


@dataclass(frozen=True, slots=True)
class RowSpec:
    """A row: one run on one part of the test posts."""

    labels: tuple[str, ...]
    subset: Subset

    @property
    def reference(self) -> Subset:
        """The subset that the row is compared with: the same recognizer and part, on adaptive images."""
        return Subset(RunSpec(self.subset.run.recognizer, "adaptive"), self.subset.part)


@dataclass(frozen=True, slots=True)
class TableSpec:
    """Title, label columns and rows of a table."""

    name: str
    title: str
    label_names: tuple[str, ...]
    """Names of the label columns."""
    rows: tuple[RowSpec, ...]

    def pairs(self, data: Sequence[str]) -> list[Pair]:
        """Return the comparisons of the table on all data sets: adaptive images with each other row of a recognizer."""
        subsets = {row.subset for row in self.rows}
        return [
            Pair(name, row.reference, row.subset)
            for name in data
            for row in self.rows
            if row.reference in subsets and row.reference != row.subset
        ]


def table_spec(table: str, recognizers: Sequence[str], text_systems: Sequence[str]) -> TableSpec:
    """Return the specification of a table. Raises SettingsError for an unknown table."""
    runs = list(dict.fromkeys(run_specs(table, recognizers, text_systems)))
    if table == "table1":
        rows = [RowSpec((_INPUT_LABELS[run.arm], run.recognizer), Subset(run)) for run in runs]
        return TableSpec(table, _TITLES[table], ("Input", "Recognizer"), tuple(rows))
    if table == "table3":
        parts: tuple[Part, Part] = ("mismatched", "matched")
        rows = [RowSpec((part, run.recognizer, run.arm), Subset(run, part)) for part in parts for run in runs]
        return TableSpec(table, _TITLES[table], ("Posts", "Recognizer", "Images"), tuple(rows))
    labels = _RATIO_LABELS if table == "table2" else _CONTROL_LABELS
    rows = [
        RowSpec((run.recognizer, _SWAPPED_LABELS[run.arm] if run.swapped else labels[run.arm]), Subset(run))
        for run in runs
    ]
    return TableSpec(table, _TITLES[table], ("Recognizer", "Images"), tuple(rows))
