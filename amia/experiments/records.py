"""One line of a table's CSV: the numbers of a row on one data set, at full precision."""

from amia.experiments.grid import Compared, Grid
from amia.experiments.layouts import Row
from amia.experiments.paper import Printed
from amia.experiments.table import Value

__all__ = ["COLUMNS", "record"]

COLUMNS = (
    *("data", "recogniser", "arm", "swapped", "part", "posts", "seeds"),
    *("precision_mean", "precision_sd", "recall_mean", "recall_sd", "f1_mean", "f1_sd"),
    *("with_image_posts", "with_image_f1_mean", "with_image_f1_sd"),
    *("adaptive_minus_this", "low", "high", "p", "p_holm", "ahead", "of_seeds"),
    *("paper_precision", "paper_recall", "paper_f1", "paper_doubt"),
)
"""Scores in percent, differences in points of it; `seeds` that were run; `low` to `high` is the 95 % interval;
`ahead` of `of_seeds` are those with which adaptive has the higher F1."""


def record(grid: Grid, data: str, row: Row, told: Compared | None, figure: Printed | None) -> dict[str, Value]:
    """All of `COLUMNS`, None where there is nothing."""
    need, part = row.side.need, row.side.part
    filled: dict[str, Value] = {
        **dict.fromkeys(COLUMNS),
        "data": data,
        "recogniser": need.recogniser,
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
