"""Precision, recall and F1 over spans: right is what agrees in first word, last word and type."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amia.mner.spans import TYPES, Span, lenient_spans

__all__ = ["Counts", "Report", "score", "score_lines"]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many spans; adds up, so that a part of a test set or a resampling of its posts is a sum over posts."""

    true_positives: int = 0
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.true_positives + other.true_positives, self.predicted + other.predicted, self.gold + other.gold
        )

    @property
    def precision(self) -> float:
        """Share of the predicted spans that are right, in [0, 1]; 0 where none is predicted."""
        return self.true_positives / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold spans that are found, in [0, 1]; 0 where there is none."""
        return self.true_positives / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """2PR / (P + R), in [0, 1]; 0 where both are. In seqeval's order of operations, so that the last bit agrees."""
        precision, recall = self.precision, self.recall
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    def to_json(self) -> dict[str, Any]:
        """The three shares, in [0, 1], and the three counts."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "true_positives": self.true_positives,
            "predicted": self.predicted,
            "gold": self.gold,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of each type over some posts; adds up as they do."""

    posts: int
    types: Mapping[str, Counts]
    """Of the types that occur, in gold or predictions: the field's four first, then others by name."""

    @classmethod
    def of(cls, pairs: Iterable[tuple[Collection[Span], Collection[Span]]]) -> "Report":
        """From the gold and the predicted spans of each post."""
        posts = 0
        right, predicted, gold = Counter[str](), Counter[str](), Counter[str]()
        for expected, found in pairs:
            posts += 1
            right.update(span.type for span in set(expected) & set(found))
            predicted.update(span.type for span in found)
            gold.update(span.type for span in expected)
        types = _ordered(gold, predicted)
        return cls(posts, {kind: Counts(right[kind], predicted[kind], gold[kind]) for kind in types})

    def __add__(self, other: "Report") -> "Report":
        none = Counts()
        types = _ordered(self.types, other.types)
        return Report(
            self.posts + other.posts,
            {kind: self.types.get(kind, none) + other.types.get(kind, none) for kind in types},
        )

    @property
    def micro(self) -> Counts:
        """All types together."""
        return sum(self.types.values(), Counts())

    def to_json(self) -> dict[str, Any]:
        """`posts`, `micro` and `types`; shares in [0, 1]."""
        return {
            "posts": self.posts,
            "micro": self.micro.to_json(),
            "types": {kind: counts.to_json() for kind, counts in self.types.items()},
        }

    def lines(self) -> list[str]:
        """A table: one line a type, then all together."""
        return score_lines({**self.types, "micro": self.micro})


def score(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    spans: Callable[[Sequence[str]], list[Span]] = lenient_spans,
) -> Report:
    """Tags of each post against tags of each post; equal to seqeval with `zero_division=0` to the last bit.

    `lenient_spans` is seqeval's default mode, `strict_spans` its `mode="strict", scheme=IOB2`. Raises ValueError when
    the two differ in number of posts or in a post's number of words: nothing could be compared.
    """
    for number, (expected, found) in enumerate(zip(gold, predicted, strict=True)):
        if len(expected) != len(found):
            raise ValueError(f"post {number}: {len(expected)} gold tags but {len(found)} predicted ones")
    return Report.of((spans(expected), spans(found)) for expected, found in zip(gold, predicted, strict=True))


def score_lines(rows: Mapping[str, Counts]) -> list[str]:
    """A plain table, one line a name; precision, recall and F1 in percent, as the field prints them."""
    width = max(map(len, rows), default=0)
    head = f"{'':{width}}  precision  recall      F1    gold  predicted"
    return [
        head,
        *(
            f"{name:{width}}  {100 * one.precision:9.2f}  {100 * one.recall:6.2f}  {100 * one.f1:6.2f}"
            f"  {one.gold:6,}  {one.predicted:9,}"
            for name, one in rows.items()
        ),
    ]


def _ordered(*types: Iterable[str]) -> list[str]:
    return sorted(
        {kind for some in types for kind in some},
        key=lambda kind: (TYPES.index(kind) if kind in TYPES else len(TYPES), kind),
    )
