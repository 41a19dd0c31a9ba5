"""The runs (a recognizer trained and evaluated on an arm) that each table requires."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from amia.errors import SettingsError

__all__ = ["CONTROLS", "MIXING", "TABLES", "Negatives", "RunSpec", "run_specs"]

TABLES = ("table1", "table2", "table3", "controls")

Negatives = Literal["expected", "batch"]
"""Negatives that the losses of a run compare with."""

MIXING = ("adaptive", "cosine", "original", "synthesized", "fixed-0.7", "fixed-0.5", "fixed-0.3")
"""Arms of the paper's Table 2, in its order."""
CONTROLS = ("adaptive", "original", "text", "random", "noise", "constant", "shuffled")
"""Arms of the controls, without the arm of the other negatives."""


@dataclass(frozen=True, slots=True, order=True)
class RunSpec:
    """A recognizer trained and evaluated on an arm, once per seed."""

    recognizer: str
    arm: str
    swapped: bool = False
    """Whether the images of the posts are swapped at evaluation."""


def run_specs(
    table: str, recognizers: Sequence[str], text_systems: Sequence[str], negatives: Negatives = "expected"
) -> list[RunSpec]:
    """Return the runs that a table requires on each data set, in the order of the table.

    `negatives` are those of the run; the controls include the other kind. Raises SettingsError for an unknown table.
    """
    if table == "table1":
        text_runs = [RunSpec(system, "text") for system in text_systems]
        return text_runs + [RunSpec(name, arm) for arm in ("original", "adaptive") for name in recognizers]
    if table == "table2":
        return [RunSpec(name, arm) for name in recognizers for arm in MIXING]
    if table == "table3":
        return [RunSpec(name, arm) for name in recognizers for arm in ("original", "synthesized", "adaptive")]
    if table == "controls":
        variants = [(arm, False) for arm in (*CONTROLS, other_negatives(negatives))]
        variants += [("adaptive", True), ("original", True)]
        return [RunSpec(name, arm, swapped) for name in recognizers for arm, swapped in variants]
    nearest = difflib.get_close_matches(table, TABLES, n=1, cutoff=0)[0]
    raise SettingsError(f"table {table!r} is unknown; did you mean {nearest!r}? Tables: {', '.join(TABLES)}")


def other_negatives(negatives: Negatives) -> str:
    """Return the arm that is `adaptive` with theta fitted with the other kind of negatives."""
    return "adaptive-batch" if negatives == "expected" else "adaptive-expected"
