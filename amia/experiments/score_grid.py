"""Results of all cells of an experiment: scores over seeds, and comparisons, for any part of the test posts."""

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
from amia.mner.metrics import SpanCounts

__all__ = ["Comparison", "MeanStd", "Pair", "ScoreGrid", "ScoreSummary", "Subset"]


@dataclass(frozen=True, slots=True)
class MeanStd:
    """Mean and standard deviation over seeds, in percent."""

    mean: float
    std: float | None
    """Standard deviation with n - 1; None for a single seed."""

    @classmethod
    def of(cls, fractions: Sequence[float]) -> "MeanStd":
        """Compute both from values in [0, 1]."""
        percent = [100 * fraction for fraction in fractions]
        return cls(statistics.mean(percent), statistics.stdev(percent) if len(percent) > 1 else None)


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """Scores of a recognizer on a part of the test posts."""

    num_seeds: int
    """Number of seeds with a result, at least 1."""
    precision: MeanStd
    recall: MeanStd
    f1: MeanStd
    """Mean of the F1 of each seed, which may differ from the F1 of mean precision and recall."""


@dataclass(frozen=True, slots=True)
class Subset:
    """A run on a part of the test posts."""

    run: RunSpec
    part: Part = "all"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two subsets of one data set to compare: F1 of `first` minus F1 of `second`."""

    data: str
    first: Subset
    second: Subset


@dataclass(frozen=True, slots=True)
class Comparison:
    """Bootstrap comparison of a pair, in percentage points of F1."""

    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    """p adjusted by Holm over the family of comparisons."""
    num_higher: int
    """Number of seeds in which `first` has the higher F1."""
    num_seeds: int
    """Number of seeds that both subsets have."""

    @property
    def interval(self) -> Interval:
        """The difference, and the lower and upper end of its interval."""
        return self.difference, self.low, self.high


class ScoreGrid:
    """Results by data set, recognizer, arm and seed; results of seeds outside `seeds` are ignored.

    Raises RunError if a cell has two results, or if results on one data set cover different posts.
    """

    def __init__(self, results: Iterable[CellResult], seeds: Sequence[int], resamples: int) -> None:
        self.seeds, self.resamples = tuple(seeds), resamples
        self._cells: dict[tuple[str, RunSpec], dict[int, CellResult]] = {}
        self._reference: dict[str, CellResult] = {}
        """By data set, the cell that defines which posts have an image, and their theta."""
        self._differences: dict[Pair, Difference] = {}
        cells = [cell for cell in results if cell.seed in self.seeds]
        for cell in cells:
            by_seed = self._cells.setdefault((cell.data, RunSpec(cell.recognizer, cell.arm, cell.swapped)), {})
            if cell.seed in by_seed:
                raise RunError(f"two results for one cell ({cell.name}): remove one of them")
            by_seed[cell.seed] = cell
        # The arms of Table 2 store the posterior as theta; a control stores the theta that it was mixed with.
        for cell in sorted(cells, key=lambda cell: MIXING.index(cell.arm) if cell.arm in MIXING else len(MIXING)):
            _check_same_posts(cell, self._reference.setdefault(cell.data, cell))

    def num_posts(self, data: str, part: Part = "all") -> int:
        """Return the number of test posts in a part of a data set; 0 without results."""
        return int(self._mask(data, part).sum())

    def score(self, data: str, run: RunSpec, part: Part = "all") -> ScoreSummary | None:
        """Return the scores of a run over its seeds; None without results, or without a gold entity in the part."""
        counts = list(self._counts_by_seed(data, Subset(run, part)).values())
        if not any(count.gold for count in counts):
            return None
        return ScoreSummary(
            len(counts),
            MeanStd.of([count.precision for count in counts]),
            MeanStd.of([count.recall for count in counts]),
            MeanStd.of([count.f1 for count in counts]),
        )

    def compare(self, family: Iterable[Pair]) -> dict[Pair, Comparison]:
        """Compare all pairs that have scores on both sides, as one family for Holm's adjustment."""
        pairs = [
            pair
            for pair in dict.fromkeys(family)
            if self.score(pair.data, pair.first.run, pair.first.part)
            and self.score(pair.data, pair.second.run, pair.second.part)
        ]
        self._bootstrap([pair for pair in pairs if pair not in self._differences])
        differences = [self._differences[pair] for pair in pairs]
        adjusted = holm([difference.p for difference in differences])
        return {
            pair: Comparison(
                100 * difference.observed,
                100 * difference.low,
                100 * difference.high,
                difference.p,
                p_holm,
                *self._count_higher(pair),
            )
            for pair, difference, p_holm in zip(pairs, differences, adjusted, strict=True)
        }

    def _bootstrap(self, pairs: Iterable[Pair]) -> None:
        """Compute the differences; pairs on the same posts share their resamples."""
        groups: defaultdict[tuple[str, frozenset[Part]], list[Pair]] = defaultdict(list)
        for pair in pairs:
            groups[pair.data, frozenset((pair.first.part, pair.second.part))].append(pair)
        for (data, parts), group in groups.items():
            # Different parts are resampled as one set of posts; each subset counts only the posts of its part.
            mask = np.any([self._mask(data, part) for part in parts], axis=0)
            subsets = dict.fromkeys(subset for pair in group for subset in (pair.first, pair.second))
            indices = {subset: index for index, subset in enumerate(subsets)}
            differences = paired_bootstrap(
                [self._counts(data, subset)[:, mask] for subset in indices],
                [(indices[pair.first], indices[pair.second]) for pair in group],
                resamples=self.resamples,
            )
            self._differences.update(zip(group, differences, strict=True))

    def _count_higher(self, pair: Pair) -> tuple[int, int]:
        """Return in how many common seeds the first subset has the higher F1, and the number of common seeds."""
        first, second = (self._counts_by_seed(pair.data, subset) for subset in (pair.first, pair.second))
        common = first.keys() & second.keys()
        return sum(first[seed].f1 > second[seed].f1 for seed in common), len(common)

    def _counts_by_seed(self, data: str, subset: Subset) -> dict[int, SpanCounts]:
        """Return span counts summed over the posts of the part, by seed."""
        seeds = sorted(self._cells.get((data, subset.run), {}))
        sums = self._counts(data, subset).sum(1)
        return {seed: SpanCounts(*map(int, counts)) for seed, counts in zip(seeds, sums, strict=True)}

    def _counts(self, data: str, subset: Subset) -> NDArray[np.int64]:
        """Return span counts [S, posts, 3], zero outside the part; S is 0 without results."""
        cells = self._cells.get((data, subset.run), {})
        mask = self._mask(data, subset.part)
        counts = [cells[seed].counts * mask[:, None] for seed in sorted(cells)]
        return np.array(counts, np.int64).reshape(len(cells), len(mask), 3)

    def _mask(self, data: str, part: Part) -> NDArray[np.bool_]:
        return self._reference[data].mask(part) if data in self._reference else np.zeros(0, np.bool_)


def _check_same_posts(cell: CellResult, reference: CellResult) -> None:
    """Raise RunError if two results on one data set cannot be compared."""
    checks = {
        "test posts": cell.ids == reference.ids,
        "gold spans": np.array_equal(cell.counts[:, 2], reference.counts[:, 2]),
        "posts with an image": np.array_equal(cell.has_image, reference.has_image),
        "thetas": cell.arm != reference.arm or np.array_equal(cell.theta, reference.theta, equal_nan=True),
    }
    for what, equal in checks.items():
        if not equal:
            raise RunError(
                f"the cells ({reference.name}) and ({cell.name}) were scored with different {what}: "
                "evaluate both on the same run, or give the data sets different names"
            )
