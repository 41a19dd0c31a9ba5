"""The results of all cells, found by what they are; scores over seeds, and comparisons, of any part of the posts."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amia.errors import RunError
from amia.experiments.results import CellResult, Part
from amia.experiments.run_specs import MIXING, RunSpec
from amia.experiments.significance import Difference, holm, paired_bootstrap
from amia.experiments.table import Interval
from amia.mner.metrics import Counts

__all__ = ["Comparison", "MeanStd", "Pair", "Score", "ScoreGrid", "Subset"]


@dataclass(frozen=True, slots=True)
class MeanStd:
    """Percent, over seeds."""

    mean: float
    deviation: float | None
    """Standard deviation with n - 1; None for a single seed."""

    @classmethod
    def of(cls, shares: Sequence[float]) -> "MeanStd":
        """Of shares in [0, 1]."""
        percent = [100 * share for share in shares]
        return cls(statistics.mean(percent), statistics.stdev(percent) if len(percent) > 1 else None)


@dataclass(frozen=True, slots=True)
class Score:
    """A recognizer on a part of the test posts."""

    seeds: int
    """That were run; never 0."""
    precision: MeanStd
    recall: MeanStd
    f1: MeanStd
    """Mean of the seeds' F1, which need not be the F1 of the two means."""


@dataclass(frozen=True, slots=True)
class Subset:
    """One side of a comparison."""

    need: RunSpec
    part: Part = "all"


@dataclass(frozen=True, slots=True)
class Pair:
    """Whether `first` has a higher F1 than `second` on a data set."""

    data: str
    first: Subset
    second: Subset


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the bootstrap says of a pair, in percentage points of F1."""

    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    """p after Holm over the family it was compared in."""
    ahead: int
    """Seeds with which the first has the higher F1: where they disagree, how trainings fell is much of a difference."""
    seeds: int
    """That both were run with."""

    @property
    def interval(self) -> Interval:
        """The difference, and the two ends of its interval."""
        return self.difference, self.low, self.high


class ScoreGrid:
    """Results by data set, recognizer, arm and seed; only those of `seeds` count.

    Raises RunError when two results claim the same cell, or when results on one data set are not about the same posts.
    """

    def __init__(self, results: Iterable[CellResult], seeds: Sequence[int], resamples: int) -> None:
        self.seeds, self.resamples = tuple(seeds), resamples
        self._cells: dict[tuple[str, RunSpec], dict[int, CellResult]] = {}
        self._told: dict[str, CellResult] = {}
        """Of each data set the cell that tells which posts have an image, and which theta."""
        self._differences: dict[Pair, Difference] = {}
        counted = [cell for cell in results if cell.seed in self.seeds]
        for cell in counted:
            of_seed = self._cells.setdefault((cell.data, RunSpec(cell.recognizer, cell.arm, cell.swapped)), {})
            if cell.seed in of_seed:
                raise RunError(f"two results for one cell ({cell.name}): leave one of them")
            of_seed[cell.seed] = cell
        # The arms of Table 2 carry the posterior as theta; a control may carry what it was made with.
        for cell in sorted(counted, key=lambda cell: MIXING.index(cell.arm) if cell.arm in MIXING else len(MIXING)):
            _check_posts(cell, self._told.setdefault(cell.data, cell))

    def posts(self, data: str, part: Part = "all") -> int:
        """How many test posts of the data set are in the part; 0 when no cell was run on it."""
        return int(self._mask(data, part).sum())

    def score(self, data: str, need: RunSpec, part: Part = "all") -> Score | None:
        """None where no seed was run, or where the part has no entity to find."""
        sums = list(self._sums(data, Subset(need, part)).values())
        if not any(each.gold for each in sums):
            return None
        return Score(
            len(sums),
            MeanStd.of([each.precision for each in sums]),
            MeanStd.of([each.recall for each in sums]),
            MeanStd.of([each.f1 for each in sums]),
        )

    def compare(self, family: Iterable[Pair]) -> dict[Pair, Comparison]:
        """Of those pairs of which both sides can be scored; they are one family for Holm."""
        told = [
            pair
            for pair in dict.fromkeys(family)
            if self.score(pair.data, pair.first.need, pair.first.part)
            and self.score(pair.data, pair.second.need, pair.second.part)
        ]
        self._bootstrap([pair for pair in told if pair not in self._differences])
        differences = [self._differences[pair] for pair in told]
        adjusted = holm([each.p for each in differences])
        return {
            pair: Comparison(100 * each.observed, 100 * each.low, 100 * each.high, each.p, p, *self._ahead(pair))
            for pair, each, p in zip(told, differences, adjusted, strict=True)
        }

    def _bootstrap(self, pairs: Iterable[Pair]) -> None:
        """Those on the same posts together, which then are drawn once for all."""
        together: defaultdict[tuple[str, frozenset[Part]], list[Pair]] = defaultdict(list)
        for pair in pairs:
            together[pair.data, frozenset((pair.first.part, pair.second.part))].append(pair)
        for (data, parts), some in together.items():
            # Parts that differ are drawn as one, each side counting in its own.
            drawn = np.any([self._mask(data, part) for part in parts], axis=0)
            sides = dict.fromkeys(side for pair in some for side in (pair.first, pair.second))
            places = {side: place for place, side in enumerate(sides)}
            told = paired_bootstrap(
                [self._counts(data, side)[:, drawn] for side in places],
                [(places[pair.first], places[pair.second]) for pair in some],
                resamples=self.resamples,
            )
            self._differences.update(zip(some, told, strict=True))

    def _ahead(self, pair: Pair) -> tuple[int, int]:
        """Of the seeds that both sides have: with how many the first has the higher F1, and how many they are."""
        first, second = (self._sums(pair.data, side) for side in (pair.first, pair.second))
        both = first.keys() & second.keys()
        return sum(first[seed].f1 > second[seed].f1 for seed in both), len(both)

    def _sums(self, data: str, side: Subset) -> dict[int, Counts]:
        """Over all posts of the part, by seed."""
        seeds = sorted(self._cells.get((data, side.need), {}))
        sums = self._counts(data, side).sum(1)
        return {seed: Counts(*map(int, each)) for seed, each in zip(seeds, sums, strict=True)}

    def _counts(self, data: str, side: Subset) -> NDArray[np.int64]:
        """[S, posts, 3], zero outside the part; without seeds where nothing was run."""
        cells = self._cells.get((data, side.need), {})
        mask = self._mask(data, side.part)
        counts = [cells[seed].counts * mask[:, None] for seed in sorted(cells)]
        return np.array(counts, np.int64).reshape(len(cells), len(mask), 3)

    def _mask(self, data: str, part: Part) -> NDArray[np.bool_]:
        return self._told[data].mask(part) if data in self._told else np.zeros(0, np.bool_)


def _check_posts(cell: CellResult, other: CellResult) -> None:
    """Whether two results on one data set can stand beside each other."""
    same = {
        "test posts": cell.ids == other.ids,
        "gold spans": np.array_equal(cell.counts[:, 2], other.counts[:, 2]),
        "posts with an image": np.array_equal(cell.has_image, other.has_image),
        "thetas": cell.arm != other.arm or np.array_equal(cell.theta, other.theta, equal_nan=True),
    }
    for what, agrees in same.items():
        if not agrees:
            raise RunError(
                f"the cells ({other.name}) and ({cell.name}) were scored with different {what}: "
                "evaluate both on the same run, or give the data sets different names"
            )
