"""Build the tables of an experiment from the results of its cells."""

from collections.abc import Iterator, Mapping, Sequence

from amia.experiments.formatting import (
    COMPARISON_COLUMN,
    MISSING,
    describe_comparisons,
    describe_posts,
    describe_reported_scores,
    describe_scores,
    format_comparison,
    format_mean_std,
    format_reported_score,
)
from amia.experiments.hypotheses import hypotheses_table
from amia.experiments.paper_results import ReportedScore, comparable_score
from amia.experiments.results import CellResult, DatasetInfo
from amia.experiments.score_grid import Comparison, Pair, ScoreGrid, Subset
from amia.experiments.table import Interval, Table, Value
from amia.experiments.table_specs import RowSpec, TableSpec, table_spec

__all__ = ["CSV_COLUMNS", "build_tables"]

CSV_COLUMNS = (
    *("data", "recognizer", "arm", "swapped", "part", "posts", "seeds"),
    *("precision_mean", "precision_sd", "recall_mean", "recall_sd", "f1_mean", "f1_sd"),
    *("with_image_posts", "with_image_f1_mean", "with_image_f1_sd"),
    *("adaptive_minus_this", "low", "high", "p", "p_holm", "ahead", "of_seeds"),
    *("paper_precision", "paper_recall", "paper_f1", "paper_doubt"),
)
"""Scores in percent, differences in percentage points. `seeds`: number of seeds with a result. `low` to `high`: the
95 % confidence interval. `ahead` of `of_seeds`: seeds in which adaptive has the higher F1."""


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
    """Build the tables `names` in that order, then the table of hypotheses (`claims`) if the tables test any.

    A missing result becomes a dash. `data` lists the data sets in their order; results on other data sets, and of
    seeds outside `seeds`, are ignored. `notice` is the last footnote of each table. Raises SettingsError for an unknown
    table, RunError for results that cannot be compared.
    """
    grid = ScoreGrid((cell for cell in results if cell.data in data), seeds, resamples)
    specs = [table_spec(name, recognizers, text_systems) for name in dict.fromkeys(names)]
    families = {spec.name: grid.compare(spec.pairs(list(data))) for spec in specs}
    tables = [_fill_table(spec, grid, data, families[spec.name], notice) for spec in specs]
    hypotheses = hypotheses_table(grid, list(data), recognizers, text_systems, families, notice)
    return [*tables, hypotheses] if hypotheses.rows else tables


def _fill_table(
    spec: TableSpec,
    grid: ScoreGrid,
    data: Mapping[str, DatasetInfo],
    comparisons: Mapping[Pair, Comparison],
    notice: str | None,
) -> Table:
    """Format one table: per data set P, R, F1, F1 of posts with an image, the paper's F1 and the comparison."""
    reported = {
        (name, row.subset): score
        for name, info in data.items()
        for row in spec.rows
        if (score := comparable_score(info, spec.name, row.subset.run, row.subset.part))
    }
    blocks = [_DatasetColumns(name, spec, grid, comparisons, reported) for name in data]
    labels = {row.subset: ", ".join(row.labels) for row in spec.rows}
    with_image_notes = ["F1 with image: F1 on the test posts with a valid image."]
    notes = [
        *(describe_posts(grid, name, by_match=blocks[0].by_match) for name in data),
        describe_scores(grid),
        *(with_image_notes if any(block.with_image for block in blocks) else []),
        *(describe_comparisons(grid, len(comparisons)) if comparisons else []),
        *describe_reported_scores((f"{name}, {labels[subset]}", score) for (name, subset), score in reported.items()),
        *([notice] if notice else []),
    ]
    num_labels = len(spec.label_names)
    no_intervals: list[Interval | None] = [None] * num_labels
    return Table(
        name=spec.name,
        title=spec.title,
        head=[*spec.label_names, *(column for block in blocks for column in block.head())],
        over=[*[""] * num_labels, *(block.name for block in blocks for _ in block.head())],
        rows=[[*row.labels, *(cell for block in blocks for cell in block.cells(row))] for row in spec.rows],
        intervals=[
            [*no_intervals, *(interval for block in blocks for interval in block.intervals(row))] for row in spec.rows
        ],
        notes=notes,
        records=[block.record(row) for block in blocks for row in spec.rows],
    )


class _DatasetColumns:
    """The columns of one data set."""

    def __init__(
        self,
        name: str,
        spec: TableSpec,
        grid: ScoreGrid,
        comparisons: Mapping[Pair, Comparison],
        reported: Mapping[tuple[str, Subset], ReportedScore],
    ) -> None:
        self.name, self._grid, self._comparisons, self._reported = name, grid, comparisons, reported
        self.by_match = any(row.subset.part != "all" for row in spec.rows)
        # If every post has an image, the column would repeat F1.
        self.with_image = not self.by_match and grid.num_posts(name, "with_image") < grid.num_posts(name)
        self._with_paper = any(data == name for data, _ in reported)

    def head(self) -> list[str]:
        columns = {
            "P": True,
            "R": True,
            "F1": True,
            "F1 with image": self.with_image,
            "F1 (paper)": self._with_paper,
            COMPARISON_COLUMN: bool(self._comparisons),
        }
        return [column for column, shown in columns.items() if shown]

    def cells(self, row: RowSpec) -> Iterator[str]:
        run = row.subset.run
        score = self._grid.score(self.name, run, row.subset.part)
        if score:
            missing_seeds = f" (n={score.num_seeds})" if score.num_seeds < len(self._grid.seeds) else ""
            yield format_mean_std(score.precision)
            yield format_mean_std(score.recall)
            yield format_mean_std(score.f1) + missing_seeds
        else:
            yield from [MISSING] * 3
        if self.with_image:
            with_image = self._grid.score(self.name, run, "with_image")
            yield format_mean_std(with_image.f1) if with_image else MISSING
        if self._with_paper:
            reported = self._reported_score(row)
            yield format_reported_score(reported) if reported else MISSING
        if self._comparisons:
            comparison = self._comparison(row)
            yield format_comparison(comparison) if comparison else MISSING

    def intervals(self, row: RowSpec) -> Iterator[Interval | None]:
        """Yield an interval or None for each of `cells`."""
        comparison = self._comparison(row)
        for column in self.head():
            yield comparison.interval if comparison and column == COMPARISON_COLUMN else None

    def record(self, row: RowSpec) -> dict[str, Value]:
        """Return all of `CSV_COLUMNS`, None for a missing value."""
        grid, run, part = self._grid, row.subset.run, row.subset.part
        record: dict[str, Value] = {
            **dict.fromkeys(CSV_COLUMNS),
            "data": self.name,
            "recognizer": run.recognizer,
            "arm": run.arm,
            "swapped": run.swapped,
            "part": part,
            "posts": grid.num_posts(self.name, part),
            "seeds": 0,
            "with_image_posts": grid.num_posts(self.name, "with_image"),
        }
        if score := grid.score(self.name, run, part):
            record["seeds"] = score.num_seeds
            for name in ("precision", "recall", "f1"):
                value = getattr(score, name)
                record[f"{name}_mean"], record[f"{name}_sd"] = value.mean, value.std
        if part == "all" and (score := grid.score(self.name, run, "with_image")):
            record["with_image_f1_mean"], record["with_image_f1_sd"] = score.f1.mean, score.f1.std
        if comparison := self._comparison(row):
            record |= {"adaptive_minus_this": comparison.difference, "low": comparison.low, "high": comparison.high}
            record |= {"p": comparison.p, "p_holm": comparison.p_holm}
            record |= {"ahead": comparison.num_higher, "of_seeds": comparison.num_seeds}
        if reported := self._reported_score(row):
            record |= {"paper_precision": reported.precision, "paper_recall": reported.recall}
            record |= {"paper_f1": reported.f1, "paper_doubt": reported.inconsistency}
        return record

    def _reported_score(self, row: RowSpec) -> ReportedScore | None:
        return self._reported.get((self.name, row.subset))

    def _comparison(self, row: RowSpec) -> Comparison | None:
        return self._comparisons.get(Pair(self.name, row.reference, row.subset))
