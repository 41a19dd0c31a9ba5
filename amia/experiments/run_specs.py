"""Which recognizers on which arms a table is made of, known before anything is trained."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from amia.errors import SettingsError

__all__ = ["CONTROLS", "MIXING", "TABLES", "Negatives", "RunSpec", "run_specs"]

TABLES = ("table1", "table2", "table3", "controls")

Negatives = Literal["expected", "batch"]
"""How the run drew the negatives that its losses compare with."""

MIXING = ("adaptive", "cosine", "original", "synthesized", "fixed-0.7", "fixed-0.5", "fixed-0.3")
"""The arms of the paper's Table 2, in its order."""
CONTROLS = ("adaptive", "original", "text", "random", "noise", "constant", "shuffled")
"""The arms of the controls that every data set has; how the other negatives do comes on top."""


@dataclass(frozen=True, slots=True, order=True)
class RunSpec:
    """A recognizer trained and evaluated on an arm, once a seed."""

    recognizer: str
    arm: str
    swapped: bool = False
    """Evaluated with images exchanged among posts."""


def run_specs(
    table: str, recognizers: Sequence[str], text_systems: Sequence[str], negatives: Negatives = "expected"
) -> list[RunSpec]:
    """What a data set has to hold for a table, in the table's order.

    `negatives` are the run's own; the controls ask for the other kind beside them. Raises SettingsError for a table
    that is none.
    """
    if table == "table1":
        texts = [RunSpec(system, "text") for system in text_systems]
        return texts + [RunSpec(each, arm) for arm in ("original", "adaptive") for each in recognizers]
    if table == "table2":
        return [RunSpec(each, arm) for each in recognizers for arm in MIXING]
    if table == "table3":
        return [RunSpec(each, arm) for each in recognizers for arm in ("original", "synthesized", "adaptive")]
    if table == "controls":
        arms = [RunSpec("", arm) for arm in (*CONTROLS, other_negatives(negatives))]
        arms += [RunSpec("", "adaptive", swapped=True), RunSpec("", "original", swapped=True)]
        return [RunSpec(each, need.arm, need.swapped) for each in recognizers for need in arms]
    nearest = difflib.get_close_matches(table, TABLES, n=1, cutoff=0)[0]
    raise SettingsError(f"table {table!r} is unknown; did you mean {nearest!r}? Tables: {', '.join(TABLES)}")


def other_negatives(negatives: Negatives) -> str:
    """The arm that is `adaptive` with theta fitted on losses against the other kind of negatives."""
    return "adaptive-batch" if negatives == "expected" else "adaptive-expected"
