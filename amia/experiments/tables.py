"""From the results of cells to the tables of an experiment."""

from collections.abc import Mapping, Sequence

from amia.experiments.facts import DataFacts
from amia.experiments.grid import Grid
from amia.experiments.layouts import layout
from amia.experiments.needs import TABLES, Need, needs
from amia.experiments.results import CellResult
from amia.experiments.sheet import fill
from amia.experiments.table import Table
from amia.experiments.verdicts import claims_table

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
    """The tables of `names`, in that order, then what they say about the paper's claims (`claims`), if anything.

    A cell that has no result leaves a dash. `data` says which data sets, in which order; results of others, and of
    seeds that are not among `seeds`, do not count. `notice` stands under each table. Raises SettingsError for a table
    that is none, RunError for results that cannot stand in one table.
    """
    grid = Grid((cell for cell in results if cell.data in data), seeds, resamples)
    negatives = {facts.negatives for facts in data.values()}
    layouts = [layout(name, recognisers, text_systems, negatives) for name in dict.fromkeys(names)]
    families = {each.name: grid.compare(each.family(list(data))) for each in layouts}
    tables = [fill(each, grid, data, families[each.name], notice) for each in layouts]
    claims = claims_table(grid, list(data), recognisers, text_systems, families, notice)
    return [*tables, claims] if claims.rows else tables
