"""The runs (a recognizer trained and evaluated on an arm) that each table requires."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from amia.errors import SettingsError

__all__ = ["CONTROLS", "MIXING", "TABLES", "WHEN_ARMS", "RunSpec", "run_specs"]

TABLES = ("table1", "table2", "table3", "controls")
"""Tables of any data sets. The table `when` is that of a map of demo corpora."""

MIXING = ("adaptive", "two-sided", "cosine", "original", "synthesized", "fixed-0.7", "fixed-0.5", "fixed-0.3")
"""Arms of the paper's Table 2, in its order, with `two-sided` beside `adaptive`."""
PARTS_ARMS = ("original", "synthesized", "adaptive", "two-sided")
"""Arms of Table 3, likewise."""
CONTROLS = (
    *("adaptive", "two-sided", "original", "text", "random", "noise", "constant", "shuffled"),
    "two-sided-shuffled",
)
"""Arms of the controls."""
WHEN_ARMS = ("text", "original", "adaptive", "two-sided", "synthesized", "cosine")
"""Arms of the map of when augmentation helps."""


@dataclass(frozen=True, slots=True, order=True)
class RunSpec:
    """A recognizer trained and evaluated on an arm, once per seed."""

    recognizer: str
    arm: str
    swapped: bool = False
    """Whether the images of the posts are swapped at evaluation."""


def run_specs(table: str, recognizers: Sequence[str], text_systems: Sequence[str]) -> list[RunSpec]:
    """Return the runs that a table requires, in the order of the table. Raises SettingsError for an unknown table."""
    if table == "table1":
        text_runs = [RunSpec(system, "text") for system in text_systems]
        arms = ("original", "adaptive", "two-sided")
        return text_runs + [RunSpec(name, arm) for arm in arms for name in recognizers]
    if table == "table2":
        return [RunSpec(name, arm) for name in recognizers for arm in MIXING]
    if table == "table3":
        return [RunSpec(name, arm) for name in recognizers for arm in PARTS_ARMS]
    if table == "controls":
        variants = [(arm, False) for arm in CONTROLS]
        variants += [("adaptive", True), ("original", True)]
        return [RunSpec(name, arm, swapped) for name in recognizers for arm, swapped in variants]
    if table == "when":
        return [RunSpec(name, arm) for name in recognizers for arm in WHEN_ARMS]
    tables = (*TABLES, "when")
    nearest = difflib.get_close_matches(table, tables, n=1, cutoff=0)[0]
    raise SettingsError(f"table {table!r} is unknown; did you mean {nearest!r}? Tables: {', '.join(tables)}")
