"""A layout with its numbers: on each data set P, R, F1, F1 where there is an image, the paper's F1, the comparison."""

from collections.abc import Iterator, Mapping

from amia.experiments import shown
from amia.experiments.facts import DataFacts
from amia.experiments.grid import Compared, Grid, Pair, Side
from amia.experiments.layouts import Layout, Row
from amia.experiments.notes import comparison_notes, paper_notes, posts_note, scores_note
from amia.experiments.paper import Printed, comparable
from amia.experiments.records import record
from amia.experiments.table import Interval, Table, Value

__all__ = ["fill"]

COMPARED = "adaptive minus this"


def fill(
    layout: Layout, grid: Grid, data: Mapping[str, DataFacts], told: Mapping[Pair, Compared], notice: str | None
) -> Table:
    """The table; `told` are the comparisons of its family, `notice` stands under it."""
    figures = {
        (name, row.side): figure
        for name, facts in data.items()
        for row in layout.rows
        if (figure := comparable(facts, layout.name, row.side.need, row.side.part))
    }
    blocks = [_Block(name, layout, grid, told, figures) for name in data]
    words = {row.side: ", ".join(row.labels) for row in layout.rows}
    notes = [
        *(posts_note(grid, name, halves=blocks[0].halves) for name in data),
        scores_note(grid),
        *(["F1 with image: on the test posts that came with one."] if any(each.with_image for each in blocks) else []),
        *(comparison_notes(grid, len(told)) if told else []),
        *paper_notes((f"{name}, {words[side]}", figure) for (name, side), figure in figures.items()),
        *([notice] if notice else []),
    ]
    labels = len(layout.head)
    return Table(
        name=layout.name,
        title=layout.title,
        head=[*layout.head, *(column for block in blocks for column in block.head())],
        over=[*[""] * labels, *(block.name for block in blocks for _ in block.head())],
        rows=[[*row.labels, *(cell for block in blocks for cell in block.cells(row))] for row in layout.rows],
        intervals=[
            [*[None] * labels, *(each for block in blocks for each in block.intervals(row))] for row in layout.rows
        ],
        notes=notes,
        records=[block.record(row) for block in blocks for row in layout.rows],
    )


class _Block:
    """The columns of one data set."""

    def __init__(
        self,
        name: str,
        layout: Layout,
        grid: Grid,
        told: Mapping[Pair, Compared],
        figures: Mapping[tuple[str, Side], Printed],
    ) -> None:
        self.name, self._grid, self._told, self._figures = name, grid, told, figures
        self.halves = any(row.side.part != "all" for row in layout.rows)
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

    def _figure(self, row: Row) -> Printed | None:
        return self._figures.get((self.name, row.side))

    def _compared(self, row: Row) -> Compared | None:
        return self._told.get(Pair(self.name, row.against, row.side))
