"""Precision, recall and F1 over entity spans: a span is correct if its first word, last word and type are."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amia.mner.spans import TYPES, Span, lenient_spans

__all__ = ["ScoreReport", "SpanCounts", "format_scores", "score"]


@dataclass(frozen=True, slots=True)
class SpanCounts:
    """Numbers of spans. They are additive: the counts of a slice or of resampled posts are sums over posts."""

    true_positives: int = 0
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: "SpanCounts") -> "SpanCounts":
        return SpanCounts(
            self.true_positives + other.true_positives, self.predicted + other.predicted, self.gold + other.gold
        )

    @property
    def precision(self) -> float:
        """Fraction of the predicted spans that are correct, in [0, 1]; 0 if there are none."""
        return self.true_positives / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Fraction of the gold spans that were predicted, in [0, 1]; 0 if there are none."""
        return self.true_positives / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """2PR / (P + R), in [0, 1]; 0 if both are. Computed in seqeval's order, so that the last bit is equal."""
        precision, recall = self.precision, self.recall
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the three scores, in [0, 1], and the three counts."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "true_positives": self.true_positives,
            "predicted": self.predicted,
            "gold": self.gold,
        }


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """Span counts per entity type over some posts. Reports are additive."""

    posts: int
    types: Mapping[str, SpanCounts]
    """Of the types that occur in gold or predictions: the usual four first, then others by name."""

    @classmethod
    def from_spans(cls, pairs: Iterable[tuple[Collection[Span], Collection[Span]]]) -> "ScoreReport":
        """Count the gold and predicted spans of each post."""
        posts = 0
        correct, predicted, gold = Counter[str](), Counter[str](), Counter[str]()
        for gold_spans, predicted_spans in pairs:
            posts += 1
            correct.update(span.type for span in set(gold_spans) & set(predicted_spans))
            predicted.update(span.type for span in predicted_spans)
            gold.update(span.type for span in gold_spans)
        types = _sort_types(gold, predicted)
        return cls(posts, {type_: SpanCounts(correct[type_], predicted[type_], gold[type_]) for type_ in types})

    def __add__(self, other: "ScoreReport") -> "ScoreReport":
        zero = SpanCounts()
        types = _sort_types(self.types, other.types)
        return ScoreReport(
            self.posts + other.posts,
            {type_: self.types.get(type_, zero) + other.types.get(type_, zero) for type_ in types},
        )

    @property
    def micro(self) -> SpanCounts:
        """Counts of all types together."""
        return sum(self.types.values(), SpanCounts())

    def to_json(self) -> dict[str, Any]:
        """Return `posts`, `micro` and `types`; scores in [0, 1]."""
        return {
            "posts": self.posts,
            "micro": self.micro.to_json(),
            "types": {type_: counts.to_json() for type_, counts in self.types.items()},
        }

    def lines(self) -> list[str]:
        """Return the lines of a text table: one per type, then all types together."""
        return format_scores({**self.types, "micro": self.micro})


def score(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    extract_spans: Callable[[Sequence[str]], list[Span]] = lenient_spans,
) -> ScoreReport:
    """Score the predicted tags of each post; equal to seqeval with `zero_division=0` to the last bit.

    `lenient_spans` is seqeval's default mode, `strict_spans` its `mode="strict", scheme=IOB2`. Raises ValueError if the
    numbers of posts, or of a post's words, differ.
    """
    for index, (gold_tags, predicted_tags) in enumerate(zip(gold, predicted, strict=True)):
        if len(gold_tags) != len(predicted_tags):
            raise ValueError(f"post {index}: {len(gold_tags)} gold tags but {len(predicted_tags)} predicted ones")
    return ScoreReport.from_spans(
        (extract_spans(gold_tags), extract_spans(predicted_tags))
        for gold_tags, predicted_tags in zip(gold, predicted, strict=True)
    )


def format_scores(rows: Mapping[str, SpanCounts]) -> list[str]:
    """Format a text table, one line per name; precision, recall and F1 in percent, as papers print them."""
    width = max(map(len, rows), default=0)
    head = f"{'':{width}}  precision  recall      F1    gold  predicted"
    return [
        head,
        *(
            f"{name:{width}}  {100 * counts.precision:9.2f}  {100 * counts.recall:6.2f}  {100 * counts.f1:6.2f}"
            f"  {counts.gold:6,}  {counts.predicted:9,}"
            for name, counts in rows.items()
        ),
    ]


def _sort_types(*type_groups: Iterable[str]) -> list[str]:
    return sorted(
        {type_ for types in type_groups for type_ in types},
        key=lambda type_: (TYPES.index(type_) if type_ in TYPES else len(TYPES), type_),
    )
