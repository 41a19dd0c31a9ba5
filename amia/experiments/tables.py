"""From the results of cells to the tables of an experiment."""

from collections.abc import Mapping, Sequence

from amia.experiments.facts import DataFacts
from amia.experiments.needs import TABLES, Need, needs
from amia.experiments.results import CellResult
from amia.experiments.table import Table

__all__ = ["TABLES", "DataFacts", "Need", "Table", "build_tables", "needs"]


def build_tables(
    names: Sequence[str],
    results: Sequence[CellResult],
    *,
    recognisers: Sequence[str],
    text_systems: Sequence[str],
    seeds: Sequence[int],
    data: Mapping[str, DataFacts],
    resamples: int = 10_000,
    notice: str | None = None,
) -> list[Table]:
    """The tables of `names`, in that order, then what they say about the paper's claims (`claims`).

    A cell that has no result leaves a dash. `data` says which data sets, in which order; results of others, and of
    seeds that are not among `seeds`, do not count. `notice` stands under each table. Raises SettingsError for a table
    that is none, RunError for results that cannot stand in one table.
    """
    raise NotImplementedError
