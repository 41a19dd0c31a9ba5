"""Numbers as the cells of a table show them."""

import math
from collections.abc import Iterable, Iterator

from amia.experiments.paper_results import ReportedScore
from amia.experiments.score_grid import Comparison, MeanStd, ScoreGrid

__all__ = [
    "ALPHA",
    "COPIED",
    "DOUBTED",
    "NOTHING",
    "agreeing",
    "compared",
    "comparison_notes",
    "p_value",
    "paper_notes",
    "posts_note",
    "printed",
    "scores_note",
    "spread",
]

# MERGED FROM amia.experiments.formatting: The sentences under a table, which say what its numbers are.
NOTHING = "–"
"""No run produced this number."""
ALPHA = 0.05
DOUBTED, COPIED = "†", "‡"


def spread(value: MeanStd) -> str:
    """`73.48 ± 0.21`, in percent; a single seed has no deviation."""
    return f"{value.mean:.2f} ± {NOTHING if value.deviation is None else f'{value.deviation:.2f}'}"


def compared(value: Comparison) -> str:
    """`+0.72 [+0.10, +1.33], p = 0.012 *, 4/5 seeds`, in points of percent."""
    mark = " *" if value.adjusted < ALPHA else ""
    interval = f"[{value.low:+.2f}, {value.high:+.2f}]"
    return f"{value.difference:+.2f} {interval}, {p_value(value.adjusted)}{mark}{agreeing(value)}"


def agreeing(value: Comparison) -> str:
    """`, 4/5 seeds` have it that way round; nothing where a single seed cannot disagree."""
    return f", {value.ahead}/{value.seeds} seeds" if value.seeds > 1 else ""


def p_value(p: float) -> str:
    """`p = 0.012`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def printed(value: ReportedScore) -> str:
    """The paper's F1 in percent, with its marks."""
    return f"{value.f1:.2f}" + (f" {COPIED}" if value.copied else "") + (f" {DOUBTED}" if value.doubt else "")


def posts_note(grid: ScoreGrid, data: str, *, halves: bool) -> str:
    """How many posts a data set's columns stand on; with `halves` how theta parts them."""
    if not grid.posts(data):
        return f"{data}: no cell was run."
    said = f"{data}: {grid.posts(data):,} test posts with gold labels"
    if halves:
        said += f", {grid.posts(data, 'mismatched'):,} of them mismatched (with an image and theta <= 0.5)"
        return f"{said} and {grid.posts(data, 'matched'):,} matched (with an image and theta > 0.5)."
    return f"{said}, {grid.posts(data, 'with_image'):,} of them with an image that could be read."


def scores_note(grid: ScoreGrid) -> str:
    """What P, R, F1, ± and a dash mean."""
    seeds = len(grid.seeds)
    over = "one seed, of which there is none" if seeds == 1 else f"{seeds} seeds, or n where a cell says n="
    return (
        "P, R, F1: percent, micro-averaged over the entities of the test posts; right is what agrees in first word, "
        f"last word and type. Mean ± standard deviation (n - 1) over {over}. {NOTHING}: no run produced it, or there "
        "is no entity to find."
    )


def comparison_notes(grid: ScoreGrid, family: int) -> Iterator[str]:
    """What a difference, its interval and its p are; `family` is how many comparisons Holm adjusts for."""
    seeds = len(grid.seeds)
    agree = "" if seeds == 1 else ", and k/n seeds are those with which adaptive is higher"
    alone = " With one seed, two trained recognizers are compared, not two methods." if seeds == 1 else ""
    yield (
        "adaptive minus this: difference of mean F1 in points, its 95 % interval and two-sided p by paired bootstrap "
        f"over test posts ({grid.resamples:,} resamples); the interval is that of one comparison, p is adjusted by "
        f"Holm; * p < {ALPHA}. The bootstrap speaks of other posts of the same kind; how much trainings differ stands "
        f"in ±{agree}.{alone}"
    )
    of = "its 1 comparison" if family == 1 else f"its {family} comparisons"
    few = ""
    if 2 * family >= ALPHA * (grid.resamples + 1):
        few = f" So few resamples cannot show it: * takes {math.ceil(2 * family / ALPHA):,} or more."
    yield f"p of this table is adjusted over {of}.{few}"


def paper_notes(figures: Iterable[tuple[str, ReportedScore]]) -> Iterator[str]:
    """Where the paper's figures come from, and what is wrong with them; each with the words of its row."""
    figures = list(figures)
    if figures:
        yield "F1 of the paper: as printed, where data set and models are the paper's; it names no number of runs."
    if any(figure.copied for _, figure in figures):
        yield f"{COPIED} The paper copied this from earlier work, which had word vectors of its own."
    for row, figure in figures:
        if figure.doubt:
            yield f"{DOUBTED} {row}: the paper contradicts itself; {figure.doubt}."
