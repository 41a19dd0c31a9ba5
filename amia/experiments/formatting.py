"""Formatting of numbers for table cells, and the footnotes that explain them."""

import math
from collections.abc import Iterable, Iterator

from amia.experiments.paper_results import ReportedScore
from amia.experiments.score_grid import Comparison, MeanStd, ScoreGrid

__all__ = [
    "ALPHA",
    "COMPARISON_COLUMN",
    "COPIED_MARK",
    "INCONSISTENT_MARK",
    "MISSING",
    "describe_comparisons",
    "describe_posts",
    "describe_reported_scores",
    "describe_scores",
    "format_comparison",
    "format_mean_std",
    "format_p",
    "format_reported_score",
    "format_seed_count",
]

MISSING = "–"
"""Text of a cell without a result."""
ALPHA = 0.05
"""Level of significance."""
INCONSISTENT_MARK, COPIED_MARK = "†", "‡"
COMPARISON_COLUMN = "adaptive − row [95 % CI], p (Holm)"


def format_mean_std(value: MeanStd) -> str:
    """Format as `73.48 ± 0.21`, in percent; a single seed has no standard deviation."""
    return f"{value.mean:.2f} ± {MISSING if value.std is None else f'{value.std:.2f}'}"


def format_comparison(value: Comparison) -> str:
    """Format as `+0.72 [+0.10, +1.33], p = 0.012 *, higher in 4/5 seeds`, in percentage points."""
    mark = " *" if value.p_holm < ALPHA else ""
    interval = f"[{value.low:+.2f}, {value.high:+.2f}]"
    return f"{value.difference:+.2f} {interval}, {format_p(value.p_holm)}{mark}{format_seed_count(value)}"


def format_seed_count(value: Comparison) -> str:
    """Format as `, higher in 4/5 seeds`; empty for a single seed."""
    return f", higher in {value.num_higher}/{value.num_seeds} seeds" if value.num_seeds > 1 else ""


def format_p(p: float) -> str:
    """Format as `p = 0.012` or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def format_reported_score(value: ReportedScore) -> str:
    """Format the F1 that the paper reports, in percent, with its marks."""
    copied = f" {COPIED_MARK}" if value.copied else ""
    return f"{value.f1:.2f}{copied}" + (f" {INCONSISTENT_MARK}" if value.inconsistency else "")


def describe_posts(grid: ScoreGrid, data: str, *, by_match: bool) -> str:
    """Return the footnote on the size of a data set; `by_match` adds how many posts are matched and mismatched."""
    posts = grid.num_posts(data)
    if not posts:
        return f"{data}: no results."
    if by_match:
        return (
            f"{data}: {posts:,} labeled test posts, of which {grid.num_posts(data, 'mismatched'):,} mismatched (with "
            f"an image and theta <= 0.5) and {grid.num_posts(data, 'matched'):,} matched (with an image and theta > "
            "0.5)."
        )
    return f"{data}: {posts:,} labeled test posts, of which {grid.num_posts(data, 'with_image'):,} with a valid image."


def describe_scores(grid: ScoreGrid) -> str:
    """Return the footnote on P, R, F1, ± and the dash."""
    seeds = len(grid.seeds)
    over = "one seed, hence no standard deviation" if seeds == 1 else f"{seeds} seeds, or n seeds in cells with n="
    return (
        "P, R, F1: micro-averaged over the entities of the test posts, in percent. An entity is correct if its first "
        f"word, last word and type are. Mean ± standard deviation (n - 1) over {over}. {MISSING}: no result, or no "
        "gold entity."
    )


def describe_comparisons(grid: ScoreGrid, family: int) -> Iterator[str]:
    """Yield the footnotes on differences, intervals and p values; `family` is the table's number of comparisons."""
    seeds = len(grid.seeds)
    count = "" if seeds == 1 else "; k/n seeds counts the seeds in which adaptive scores higher"
    single = " With one seed, two trained models are compared, not two methods." if seeds == 1 else ""
    yield (
        "adaptive − row: difference of mean F1 in percentage points, its 95 % confidence interval and two-sided p, "
        f"from a paired bootstrap over test posts ({grid.resamples:,} resamples). p is adjusted for multiple "
        f"comparisons (Holm), the interval is not. *: p < {ALPHA}. The bootstrap accounts for the choice of test posts "
        f"only; ± shows the variation between trainings{count}.{single}"
    )
    comparisons = "1 comparison" if family == 1 else f"{family} comparisons"
    warning = ""
    if 2 * family >= ALPHA * (grid.resamples + 1):
        needed = math.ceil(2 * family / ALPHA)
        warning = f" No comparison can be significant with this few resamples: at least {needed:,} are required."
    yield f"Holm's adjustment covers the {comparisons} of this table.{warning}"


def describe_reported_scores(scores: Iterable[tuple[str, ReportedScore]]) -> Iterator[str]:
    """Yield the footnotes on origin and inconsistencies of reported scores, each given with its row label."""
    scores = list(scores)
    if scores:
        yield (
            "F1 (paper): as reported, shown if data set and models are those of the paper, which does not state its "
            "number of runs."
        )
    if any(score.copied for _, score in scores):
        yield f"{COPIED_MARK} Copied by the paper from earlier work, which used other word vectors."
    for row, score in scores:
        if score.inconsistency:
            yield f"{INCONSISTENT_MARK} {row}: inconsistent in the paper: {score.inconsistency}."
