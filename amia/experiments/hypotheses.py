"""What the tables say about the paper's claims, and about the controls that it does not have."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from amia.experiments.formatting import ALPHA, NOTHING, agreeing, p_value
from amia.experiments.results import Part
from amia.experiments.run_specs import RunSpec
from amia.experiments.score_grid import Comparison, Pair, ScoreGrid, Subset
from amia.experiments.table import Interval, Table, Value

__all__ = ["Hypothesis", "hypotheses_of", "hypotheses_table"]


# MERGED FROM amia.experiments.hypotheses: The table of claims: each holds, does not hold, or cannot be told.
@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Each first side has a higher F1 than its second."""

    source: str
    """Where it is made."""
    sentence: str
    sides: Mapping[str, tuple[Subset, Subset]]
    """By what tells a comparison from the claim's others; a single one has no name."""


def hypotheses_of(recognizer: str, text_systems: Sequence[str], tables: Collection[str]) -> list[Hypothesis]:
    """The claims about a recognizer that the tables speak of: the same sentences, in the same order, for each."""
    return [claim for where, claim in _claims(recognizer, text_systems) if where & set(tables)]


def _claims(recognizer: str, text_systems: Sequence[str]) -> Iterator[tuple[set[str], Hypothesis]]:
    def on(arm: str, part: Part = "all") -> Subset:
        return Subset(RunSpec(recognizer, arm), part)

    adaptive, original = on("adaptive"), on("original")
    if text_systems:
        sides = {system: (original, Subset(RunSpec(system, "text"))) for system in text_systems}
        yield {"table1"}, Hypothesis("Table 1", "original images are better than every text system", sides)
    sides = {"": (adaptive, original)}
    yield (
        {"table1", "table2", "controls"},
        Hypothesis("Table 1", "adaptive images are better than original ones", sides),
    )

    sides = {"": (adaptive, on("synthesized"))}
    yield {"table2"}, Hypothesis("Table 2", "adaptive images are better than synthesized ones alone", sides)
    sides = {arm: (adaptive, on(arm)) for arm in ("fixed-0.7", "fixed-0.5", "fixed-0.3")}
    yield {"table2"}, Hypothesis("Table 2", "adaptive images are better than any fixed ratio", sides)
    sides = {"": (adaptive, on("cosine"))}
    yield {"table2"}, Hypothesis("Table 2", "adaptive images are better than cosine similarity as the ratio", sides)

    arms = ("original", "synthesized", "adaptive")
    sides = {arm: (on(arm, "matched"), on(arm, "mismatched")) for arm in arms}
    yield {"table3"}, Hypothesis("Table 3", "matched posts are easier than mismatched ones, whatever the images", sides)
    sides = {"": (on("synthesized", "mismatched"), on("original", "mismatched"))}
    yield (
        {"table3"},
        Hypothesis("Table 3", "on mismatched posts synthesized images are better than original ones", sides),
    )
    parts: tuple[Part, Part] = ("mismatched", "matched")
    for part in parts:
        sides = {arm: (on("adaptive", part), on(arm, part)) for arm in ("original", "synthesized")}
        yield {"table3"}, Hypothesis("Table 3", f"on {part} posts adaptive images are better than both", sides)

    for arm, sentence in _CONTROLS.items():
        yield (
            {"controls"},
            Hypothesis("control", f"adaptive images are better than {sentence}", {"": (adaptive, on(arm))}),
        )
    for side in (adaptive, original):
        exchanged = Subset(RunSpec(recognizer, side.need.arm, swapped=True))
        sentence = f"exchanging {side.need.arm} images among posts at evaluation makes it worse"
        yield {"controls"}, Hypothesis("control", sentence, {"": (side, exchanged)})


_CONTROLS = {
    "text": "no image, the same recognizer on text alone",
    "random": "random images of the same set",
    "noise": "noise",
    "constant": "those mixed by one theta for all, its mean",
    "shuffled": "those mixed by theta shuffled among posts",
}


Verdict = Literal["holds", "does not hold", "cannot be told"]
_FOR_IT: tuple[Verdict, ...] = ("does not hold", "cannot be told", "holds")
"""How much speaks for a claim, rising."""


@dataclass(frozen=True, slots=True)
class _Judged:
    verdict: Verdict
    comparison: str
    told: Comparison


def hypotheses_table(
    grid: ScoreGrid,
    data: Collection[str],
    recognizers: Sequence[str],
    text_systems: Sequence[str],
    families: Mapping[str, Mapping[Pair, Comparison]],
    notice: str | None,
) -> Table:
    """One row a claim, one column a data set and recognizer.

    `families` are the comparisons of each table built, by its name, the first to be believed where two make the same
    one. What a claim compares and no table does is one more family.
    """
    claims = {recognizer: hypotheses_of(recognizer, text_systems, families) for recognizer in recognizers}
    known: dict[Pair, Comparison] = {}
    for family in families.values():
        known = {**family, **known}
    asked = [
        Pair(name, *sides)
        for name in data
        for some in claims.values()
        for claim in some
        for sides in claim.sides.values()
    ]
    own = grid.compare(dict.fromkeys(pair for pair in asked if pair not in known))
    known |= own
    rows, intervals, records = [], list[list[Interval | None]](), list[dict[str, Value]]()
    for same in zip(*claims.values(), strict=True):
        cells, drawn = [], list[Interval | None]()
        for name in data:
            for recognizer, claim in zip(claims, same, strict=True):
                judged = _judge(claim, name, known)
                cells.append(_cell(judged))
                drawn.append(judged.told.interval if judged else None)
                records.append(_record(name, recognizer, claim, judged))
        rows.append([same[0].source, same[0].sentence, *cells])
        intervals.append([None, None, *drawn])
    return Table(
        name="claims",
        title="What the tables say about the paper's claims",
        head=["From", "Claim", *(recognizer for _ in data for recognizer in recognizers)],
        over=["", "", *(name for name in data for _ in recognizers)],
        rows=rows,
        intervals=intervals,
        notes=[*_notes(len(own)), *([notice] if notice else [])],
        records=records,
    )


def _judge(claim: Hypothesis, data: str, known: Mapping[Pair, Comparison]) -> _Judged | None:
    """By the comparison that speaks least for the claim; None where one is missing."""
    judged = []
    for name, sides in claim.sides.items():
        told = known.get(Pair(data, *sides))
        if told is None:
            return None
        judged.append(_Judged(_verdict(told), name, told))
    return min(judged, key=lambda one: (_FOR_IT.index(one.verdict), one.told.difference))


def _verdict(told: Comparison) -> Verdict:
    if told.adjusted >= ALPHA:
        return "cannot be told"
    return "holds" if told.difference > 0 else "does not hold"


def _cell(judged: _Judged | None) -> str:
    if judged is None:
        return NOTHING
    comparison = f"{judged.comparison}: " if judged.comparison else ""
    told = judged.told
    return f"{judged.verdict} ({comparison}{told.difference:+.2f}, {p_value(told.adjusted)}{agreeing(told)})"


def _record(data: str, recognizer: str, claim: Hypothesis, judged: _Judged | None) -> dict[str, Value]:
    record: dict[str, Value] = {
        "data": data,
        "recognizer": recognizer,
        "source": claim.source,
        "claim": claim.sentence,
        **dict.fromkeys(("verdict", "comparison", "difference", "low", "high", "p", "p_holm", "ahead", "of_seeds")),
    }
    if judged:
        told = judged.told
        record |= {"verdict": judged.verdict, "comparison": judged.comparison, "difference": told.difference}
        record |= {"low": told.low, "high": told.high, "p": told.p, "p_holm": told.adjusted}
        record |= {"ahead": told.ahead, "of_seeds": told.seeds}
    return record


def _notes(own: int) -> list[str]:
    return [
        f"holds: F1 is higher, p < {ALPHA}. does not hold: it is lower, p < {ALPHA}. cannot be told: p >= {ALPHA}, "
        f"which does not say that both are equal. {NOTHING}: a cell that it needs is missing.",
        "In brackets: the difference of mean F1 in points, p, and the seeds with which it is as claimed. p is that of "
        "the first table which makes the comparison, adjusted there by Holm; comparisons that no table makes "
        f"({own} here) are a family of their own.",
        "A claim of several comparisons holds when each does; shown is the one that speaks least for it.",
    ]
