"""Hypotheses: the claims of the paper, and those about arm two-sided and the controls, tested on the results."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from amia.experiments.formatting import ALPHA, MISSING, format_p, format_seed_count
from amia.experiments.results import Part
from amia.experiments.run_specs import RunSpec
from amia.experiments.score_grid import Comparison, Pair, ScoreGrid, Subset
from amia.experiments.table import Interval, Table, Value

__all__ = ["Hypothesis", "hypotheses_of", "hypotheses_table"]

Verdict = Literal["supported", "not supported", "inconclusive"]
_BY_EVIDENCE: tuple[Verdict, ...] = ("not supported", "inconclusive", "supported")
"""Verdicts in increasing order of evidence for a hypothesis."""

_CONTROLS = {
    "text": "no image (the same recognizer on text only)",
    "random": "random images of the same data set",
    "noise": "noise",
    "constant": "mixing with a constant theta, its mean",
    "shuffled": "mixing with theta shuffled across posts",
}


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A statement that is true if, in each pair of subsets, the first has a higher F1 than the second."""

    source: str
    """Table of the paper, `two-sided` or `control`."""
    statement: str
    pairs: Mapping[str, tuple[Subset, Subset]]
    """Pairs by the name that distinguishes them; a single pair is named by an empty string."""


def hypotheses_of(recognizer: str, text_systems: Sequence[str], tables: Collection[str]) -> list[Hypothesis]:
    """Return the hypotheses about a recognizer that `tables` test: the same statements and order for any recognizer."""
    return [hypothesis for tested_by, hypothesis in _hypotheses(recognizer, text_systems) if tested_by & set(tables)]


def hypotheses_table(
    grid: ScoreGrid,
    data: Collection[str],
    recognizers: Sequence[str],
    text_systems: Sequence[str],
    families: Mapping[str, Mapping[Pair, Comparison]],
    notice: str | None,
) -> Table:
    """Build a table with one row per hypothesis, and one column per data set and recognizer.

    `families` are the comparisons of each table by its name; a comparison of several tables is taken from the first.
    Comparisons that no table makes form one additional family.
    """
    hypotheses = {recognizer: hypotheses_of(recognizer, text_systems, families) for recognizer in recognizers}
    comparisons: dict[Pair, Comparison] = {}
    for family in families.values():
        comparisons = {**family, **comparisons}
    pairs = [
        Pair(name, *subsets)
        for name in data
        for by_recognizer in hypotheses.values()
        for hypothesis in by_recognizer
        for subsets in hypothesis.pairs.values()
    ]
    additional = grid.compare(dict.fromkeys(pair for pair in pairs if pair not in comparisons))
    comparisons |= additional
    rows, intervals, records = [], list[list[Interval | None]](), list[dict[str, Value]]()
    for same_statement in zip(*hypotheses.values(), strict=True):
        cells, row_intervals = [], list[Interval | None]()
        for name in data:
            for recognizer, hypothesis in zip(hypotheses, same_statement, strict=True):
                test = _test(hypothesis, name, comparisons)
                cells.append(_format_cell(test))
                row_intervals.append(test.comparison.interval if test else None)
                records.append(_record(name, recognizer, hypothesis, test))
        rows.append([same_statement[0].source, same_statement[0].statement, *cells])
        intervals.append([None, None, *row_intervals])
    return Table(
        name="claims",
        title="Hypotheses",
        head=["Source", "Hypothesis", *(recognizer for _ in data for recognizer in recognizers)],
        over=["", "", *(name for name in data for _ in recognizers)],
        rows=rows,
        intervals=intervals,
        notes=[*_notes(len(additional)), *([notice] if notice else [])],
        records=records,
    )


def _hypotheses(recognizer: str, text_systems: Sequence[str]) -> Iterator[tuple[set[str], Hypothesis]]:
    """Yield each hypothesis with the tables that test it."""

    def on(arm: str, part: Part = "all") -> Subset:
        return Subset(RunSpec(recognizer, arm), part)

    adaptive, original = on("adaptive"), on("original")
    if text_systems:
        pairs = {system: (original, Subset(RunSpec(system, "text"))) for system in text_systems}
        yield {"table1"}, Hypothesis("Table 1", "original images outperform every text-only system", pairs)
    pairs = {"": (adaptive, original)}
    yield {"table1", "table2", "controls"}, Hypothesis("Table 1", "adaptive images outperform original images", pairs)

    pairs = {"": (adaptive, on("synthesized"))}
    yield {"table2"}, Hypothesis("Table 2", "adaptive images outperform synthesized images", pairs)
    pairs = {arm: (adaptive, on(arm)) for arm in ("fixed-0.7", "fixed-0.5", "fixed-0.3")}
    yield {"table2"}, Hypothesis("Table 2", "adaptive images outperform every fixed ratio", pairs)
    pairs = {"": (adaptive, on("cosine"))}
    yield {"table2"}, Hypothesis("Table 2", "adaptive images outperform cosine similarity as the ratio", pairs)

    pairs = {arm: (on(arm, "matched"), on(arm, "mismatched")) for arm in ("original", "synthesized", "adaptive")}
    yield {"table3"}, Hypothesis("Table 3", "matched posts are easier than mismatched posts on all images", pairs)
    pairs = {"": (on("synthesized", "mismatched"), on("original", "mismatched"))}
    statement = "on mismatched posts, synthesized images outperform original images"
    yield {"table3"}, Hypothesis("Table 3", statement, pairs)
    parts: tuple[Part, Part] = ("mismatched", "matched")
    for part in parts:
        pairs = {arm: (on("adaptive", part), on(arm, part)) for arm in ("original", "synthesized")}
        statement = f"on {part} posts, adaptive images outperform original and synthesized images"
        yield {"table3"}, Hypothesis("Table 3", statement, pairs)

    two_sided, shuffled = on("two-sided"), on("two-sided-shuffled")
    pairs = {"": (two_sided, original)}
    statement = "two-sided images outperform original images"
    yield {"table1", "table2", "controls"}, Hypothesis("two-sided", statement, pairs)
    pairs = {"": (two_sided, adaptive)}
    statement = "two-sided images outperform adaptive images"
    yield {"table1", "table2", "controls"}, Hypothesis("two-sided", statement, pairs)
    for part in parts:
        pairs = {"": (on("two-sided", part), on("adaptive", part))}
        statement = f"on {part} posts, two-sided images outperform adaptive images"
        yield {"table3"}, Hypothesis("two-sided", statement, pairs)
    statement = "two-sided images outperform mixing with theta of the synthesized images shuffled across posts"
    yield {"controls"}, Hypothesis("control", statement, {"": (two_sided, shuffled)})

    for arm, description in _CONTROLS.items():
        statement = f"adaptive images outperform {description}"
        yield {"controls"}, Hypothesis("control", statement, {"": (adaptive, on(arm))})
    for subset in (adaptive, original):
        swapped = Subset(RunSpec(recognizer, subset.run.arm, swapped=True))
        statement = f"swapping {subset.run.arm} images between posts at evaluation lowers F1"
        yield {"controls"}, Hypothesis("control", statement, {"": (subset, swapped)})


@dataclass(frozen=True, slots=True)
class _Test:
    """Outcome of a hypothesis on one data set."""

    verdict: Verdict
    pair_name: str
    comparison: Comparison


def _test(hypothesis: Hypothesis, data: str, comparisons: Mapping[Pair, Comparison]) -> _Test | None:
    """Return the test of the pair with the least evidence for the hypothesis; None if a comparison is missing."""
    tests = []
    for name, subsets in hypothesis.pairs.items():
        comparison = comparisons.get(Pair(data, *subsets))
        if comparison is None:
            return None
        tests.append(_Test(_verdict(comparison), name, comparison))
    return min(tests, key=lambda test: (_BY_EVIDENCE.index(test.verdict), test.comparison.difference))


def _verdict(comparison: Comparison) -> Verdict:
    if comparison.p_holm >= ALPHA:
        return "inconclusive"
    return "supported" if comparison.difference > 0 else "not supported"


def _format_cell(test: _Test | None) -> str:
    if test is None:
        return MISSING
    name = f"{test.pair_name}: " if test.pair_name else ""
    value = test.comparison
    return f"{test.verdict} ({name}{value.difference:+.2f}, {format_p(value.p_holm)}{format_seed_count(value)})"


def _record(data: str, recognizer: str, hypothesis: Hypothesis, test: _Test | None) -> dict[str, Value]:
    record: dict[str, Value] = {
        "data": data,
        "recognizer": recognizer,
        "source": hypothesis.source,
        "claim": hypothesis.statement,
        **dict.fromkeys(("verdict", "comparison", "difference", "low", "high", "p", "p_holm", "ahead", "of_seeds")),
    }
    if test:
        value = test.comparison
        record |= {"verdict": test.verdict, "comparison": test.pair_name, "difference": value.difference}
        record |= {"low": value.low, "high": value.high, "p": value.p, "p_holm": value.p_holm}
        record |= {"ahead": value.num_higher, "of_seeds": value.num_seeds}
    return record


def _notes(additional: int) -> list[str]:
    return [
        f"supported: F1 is higher, p < {ALPHA}. not supported: F1 is lower, p < {ALPHA}. inconclusive: not "
        f"significant, p >= {ALPHA}, which does not mean that both are equal. {MISSING}: a result is missing.",
        "In parentheses: difference of mean F1 in percentage points, p (Holm), and the seeds in which F1 is higher as "
        "hypothesized. p is that of the first table with the comparison, adjusted within that table; comparisons that "
        f"are in no table ({additional} here) form a separate family.",
        "A hypothesis with several comparisons is supported if all of them are; the one with the least evidence is "
        "shown.",
    ]
