"""From the results of cells to the tables of an experiment."""

from collections.abc import Iterator, Mapping, Sequence

from amia.experiments import formatting as shown
from amia.experiments.formatting import comparison_notes, paper_notes, posts_note, scores_note
from amia.experiments.hypotheses import hypotheses_table
from amia.experiments.paper_results import ReportedScore, comparable
from amia.experiments.results import CellResult, DatasetInfo
from amia.experiments.run_specs import TABLES
from amia.experiments.score_grid import Comparison, Pair, ScoreGrid, Subset
from amia.experiments.table import Interval, Table, Value
from amia.experiments.table_specs import Row, TableSpec, table_spec

__all__ = ["COLUMNS", "TABLES", "DatasetInfo", "Table", "build_tables", "fill", "record"]


# MERGED FROM amia.experiments.table_builder: A layout with its numbers: on each data set P, R, F1, F1 where there is an image, the paper's F1, the comparison.
# MERGED FROM amia.experiments.table_builder: One line of a table's CSV: the numbers of a row on one data set, at full precision.
def build_tables(
    names: Sequence[str],
    results: Sequence[CellResult],
    *,
    recognizers: Sequence[str],
    text_systems: Sequence[str],
    seeds: Sequence[int],
    data: Mapping[str, DatasetInfo],
    resamples: int = 10_000,
    notice: str | None = None,
) -> list[Table]:
    """The tables of `names`, in that order, then what they say about the paper's claims (`claims`), if anything.

    A cell that has no result leaves a dash. `data` says which data sets, in which order; results of others, and of
    seeds that are not among `seeds`, do not count. `notice` stands under each table. Raises SettingsError for a table
    that is none, RunError for results that cannot stand in one table.
    """
    grid = ScoreGrid((cell for cell in results if cell.data in data), seeds, resamples)
    negatives = {facts.negatives for facts in data.values()}
    layouts = [table_spec(name, recognizers, text_systems, negatives) for name in dict.fromkeys(names)]
    families = {each.name: grid.compare(each.family(list(data))) for each in layouts}
    tables = [fill(each, grid, data, families[each.name], notice) for each in layouts]
    claims = hypotheses_table(grid, list(data), recognizers, text_systems, families, notice)
    return [*tables, claims] if claims.rows else tables


COMPARED = "adaptive minus this"


def fill(
    table_spec: TableSpec,
    grid: ScoreGrid,
    data: Mapping[str, DatasetInfo],
    told: Mapping[Pair, Comparison],
    notice: str | None,
) -> Table:
    """The table; `told` are the comparisons of its family, `notice` stands under it."""
    figures = {
        (name, row.side): figure
        for name, facts in data.items()
        for row in table_spec.rows
        if (figure := comparable(facts, table_spec.name, row.side.need, row.side.part))
    }
    blocks = [_Block(name, table_spec, grid, told, figures) for name in data]
    words = {row.side: ", ".join(row.labels) for row in table_spec.rows}
    notes = [
        *(posts_note(grid, name, halves=blocks[0].halves) for name in data),
        scores_note(grid),
        *(["F1 with image: on the test posts that came with one."] if any(each.with_image for each in blocks) else []),
        *(comparison_notes(grid, len(told)) if told else []),
        *paper_notes((f"{name}, {words[side]}", figure) for (name, side), figure in figures.items()),
        *([notice] if notice else []),
    ]
    labels = len(table_spec.head)
    return Table(
        name=table_spec.name,
        title=table_spec.title,
        head=[*table_spec.head, *(column for block in blocks for column in block.head())],
        over=[*[""] * labels, *(block.name for block in blocks for _ in block.head())],
        rows=[[*row.labels, *(cell for block in blocks for cell in block.cells(row))] for row in table_spec.rows],
        intervals=[
            [*[None] * labels, *(each for block in blocks for each in block.intervals(row))] for row in table_spec.rows
        ],
        notes=notes,
        records=[block.record(row) for block in blocks for row in table_spec.rows],
    )


class _Block:
    """The columns of one data set."""

    def __init__(
        self,
        name: str,
        table_spec: TableSpec,
        grid: ScoreGrid,
        told: Mapping[Pair, Comparison],
        figures: Mapping[tuple[str, Subset], ReportedScore],
    ) -> None:
        self.name, self._grid, self._told, self._figures = name, grid, told, figures
        self.halves = any(row.side.part != "all" for row in table_spec.rows)
        # Where every post has an image, the column would say F1 twice.
        self.with_image = not self.halves and grid.posts(name, "with_image") < grid.posts(name)
        self._with_paper = any(data == name for data, _ in figures)

    def head(self) -> list[str]:
        columns = {
            "P": True,
            "R": True,
            "F1": True,
            "F1 with image": self.with_image,
            "F1 of the paper": self._with_paper,
            COMPARED: bool(self._told),
        }
        return [column for column, there in columns.items() if there]

    def cells(self, row: Row) -> Iterator[str]:
        score = self._grid.score(self.name, row.side.need, row.side.part)
        if score:
            fewer = f" (n={score.seeds})" if score.seeds < len(self._grid.seeds) else ""
            yield from (shown.spread(score.precision), shown.spread(score.recall), shown.spread(score.f1) + fewer)
        else:
            yield from [shown.NOTHING] * 3
        if self.with_image:
            seen = self._grid.score(self.name, row.side.need, "with_image")
            yield shown.spread(seen.f1) if seen else shown.NOTHING
        if self._with_paper:
            figure = self._figure(row)
            yield shown.printed(figure) if figure else shown.NOTHING
        if self._told:
            told = self._compared(row)
            yield shown.compared(told) if told else shown.NOTHING

    def intervals(self, row: Row) -> Iterator[Interval | None]:
        """As many as there are `cells`."""
        told = self._compared(row)
        for column in self.head():
            yield told.interval if told and column == COMPARED else None

    def record(self, row: Row) -> dict[str, Value]:
        return record(self._grid, self.name, row, self._compared(row), self._figure(row))

    def _figure(self, row: Row) -> ReportedScore | None:
        return self._figures.get((self.name, row.side))

    def _compared(self, row: Row) -> Comparison | None:
        return self._told.get(Pair(self.name, row.against, row.side))


COLUMNS = (
    *("data", "recognizer", "arm", "swapped", "part", "posts", "seeds"),
    *("precision_mean", "precision_sd", "recall_mean", "recall_sd", "f1_mean", "f1_sd"),
    *("with_image_posts", "with_image_f1_mean", "with_image_f1_sd"),
    *("adaptive_minus_this", "low", "high", "p", "p_holm", "ahead", "of_seeds"),
    *("paper_precision", "paper_recall", "paper_f1", "paper_doubt"),
)
"""Scores in percent, differences in points of it; `seeds` that were run; `low` to `high` is the 95 % interval;
`ahead` of `of_seeds` are those with which adaptive has the higher F1."""


def record(
    grid: ScoreGrid, data: str, row: Row, told: Comparison | None, figure: ReportedScore | None
) -> dict[str, Value]:
    """All of `COLUMNS`, None where there is nothing."""
    need, part = row.side.need, row.side.part
    filled: dict[str, Value] = {
        **dict.fromkeys(COLUMNS),
        "data": data,
        "recognizer": need.recognizer,
        "arm": need.arm,
        "swapped": need.swapped,
        "part": part,
        "posts": grid.posts(data, part),
        "seeds": 0,
        "with_image_posts": grid.posts(data, "with_image"),
    }
    if score := grid.score(data, need, part):
        filled["seeds"] = score.seeds
        for name in ("precision", "recall", "f1"):
            spread = getattr(score, name)
            filled[f"{name}_mean"], filled[f"{name}_sd"] = spread.mean, spread.deviation
    if part == "all" and (score := grid.score(data, need, "with_image")):
        filled["with_image_f1_mean"], filled["with_image_f1_sd"] = score.f1.mean, score.f1.deviation
    if told:
        filled |= {"adaptive_minus_this": told.difference, "low": told.low, "high": told.high}
        filled |= {"p": told.p, "p_holm": told.adjusted, "ahead": told.ahead, "of_seeds": told.seeds}
    if figure:
        filled |= {"paper_precision": figure.precision, "paper_recall": figure.recall}
        filled |= {"paper_f1": figure.f1, "paper_doubt": figure.doubt}
    return filled
