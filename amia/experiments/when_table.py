"""Build the map of when augmentation helps from the results of its cells, and show it as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amia.experiments.formatting import ALPHA, MISSING, format_mean_std
from amia.experiments.match_shares import MatchShares
from amia.experiments.results import CellResult
from amia.experiments.run_specs import WHEN_ARMS, RunSpec
from amia.experiments.score_grid import Comparison, MeanStd, Pair, ScoreGrid, Subset
from amia.experiments.table import Interval, Table, Value
from amia.experiments.when_map import ArmScore, Baseline, MapPoint, WhenMap

__all__ = ["CSV_COLUMNS", "MapCorpus", "build_when_map", "when_table"]

BASELINES: tuple[Baseline, Baseline] = ("original", "text")
CSV_COLUMNS = (
    *("mismatched", "known", "arm", "posts", "seeds", "f1_mean", "f1_sd"),
    *(f"over_{baseline}{part}" for baseline in BASELINES for part in ("", "_low", "_high")),
    *("original_matched", "original_total", "synthesized_matched", "synthesized_total"),
)
"""F1 in percent, differences in percentage points with their 95 % intervals. `*_matched`: number of images of all
splits with a theta above 0.5, among `*_total`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapCorpus:
    """Corpus of one point of the map."""

    mismatched: float
    """Share of the posts' own images that show something else."""
    known: float
    """Share of the rare names that CLIP and generator know."""
    seeds: tuple[int, ...]
    """Seeds of its trainings."""
    shares: MatchShares | None
    """Images of all splits that match; None if they were not scored."""
    rejection_reason: str | None = None
    """Why the checks rejected its mixture."""


def build_when_map(
    results: Sequence[CellResult],
    corpora: Mapping[str, MapCorpus],
    *,
    recognizer: str,
    resamples: int = 10_000,
    notice: str | None = None,
) -> WhenMap:
    """Build the map from the results of `recognizer`. `corpora`: the points by the names of their data sets.

    All gains of the map are one family for Holm's adjustment. Raises RunError for results that cannot be compared.
    """
    seeds = sorted({seed for corpus in corpora.values() for seed in corpus.seeds})
    used = [cell for cell in results if cell.data in corpora and cell.seed in corpora[cell.data].seeds]
    grid = ScoreGrid(used, seeds, resamples)
    pairs = {
        (name, arm, baseline): Pair(name, Subset(RunSpec(recognizer, arm)), Subset(RunSpec(recognizer, baseline)))
        for name in corpora
        for arm in WHEN_ARMS
        for baseline in BASELINES
        if arm != baseline
    }
    comparisons = grid.compare(pairs.values())

    def arm_score(name: str, arm: str, f1: MeanStd) -> ArmScore:
        gains: dict[Baseline, Comparison | None] = {
            baseline: comparisons.get(pairs[name, arm, baseline]) for baseline in BASELINES if arm != baseline
        }
        return ArmScore(
            f1=f1.mean,
            f1_sd=f1.std,
            over_original=_interval(gains.get("original")),
            over_text=_interval(gains.get("text")),
            significant=tuple(f"over_{baseline}" for baseline, gain in gains.items() if gain and gain.p_holm < ALPHA),
        )

    points = []
    for name, corpus in corpora.items():
        scores = {arm: grid.score(name, RunSpec(recognizer, arm)) for arm in WHEN_ARMS}
        points.append(
            MapPoint(
                mismatched=corpus.mismatched,
                known=corpus.known,
                posts=grid.num_posts(name),
                seeds=len(corpus.seeds),
                original=corpus.shares.original if corpus.shares else None,
                synthesized=corpus.shares.synthesized if corpus.shares else None,
                rejection_reason=corpus.rejection_reason,
                arms={arm: arm_score(name, arm, score.f1) for arm, score in scores.items() if score},
            )
        )
    return WhenMap(recognizer=recognizer, notice=notice, points=tuple(points))


def when_table(when: WhenMap, *, resamples: int) -> Table:
    """Format a map: a row per share of mismatched images and arm, and columns per share of known names."""
    points = {(point.mismatched, point.known): point for point in when.points}
    columns = ("F1", "− original [95 % CI]", "− text [95 % CI]")
    rows, intervals = [], list[list[Interval | None]]()
    for mismatched in when.mismatched:
        for arm in when.arms:
            scores = [points[mismatched, known].arms.get(arm) for known in when.known]
            rows.append([f"{mismatched:.0%}", arm, *(cell for score in scores for cell in _format_cells(score))])
            intervals.append([None, None])
            for score in scores:
                intervals[-1] += [None, *((score.over_original, score.over_text) if score else (None, None))]
    return Table(
        name="when",
        title="When augmentation helps: by the shares of mismatched images and of names that CLIP and generator know",
        head=["Mismatched", "Images", *columns * len(when.known)],
        over=["", "", *(f"{known:.0%} of the names known" for known in when.known for _ in columns)],
        rows=rows,
        intervals=intervals,
        notes=[*_notes(when, resamples), *([when.notice] if when.notice else [])],
        records=[_record(point, arm, score) for point in when.points for arm, score in point.arms.items()],
    )


def _interval(comparison: Comparison | None) -> Interval | None:
    return comparison.interval if comparison else None


def _format_cells(score: ArmScore | None) -> list[str]:
    if score is None:
        return [MISSING] * 3
    return [
        format_mean_std(MeanStd(score.f1, score.f1_sd)),
        _format_gain(score.over_original, "over_original" in score.significant),
        _format_gain(score.over_text, "over_text" in score.significant),
    ]


def _format_gain(gain: Interval | None, significant: bool) -> str:
    if gain is None:
        return MISSING
    difference, low, high = gain
    return f"{difference:+.2f} [{low:+.2f}, {high:+.2f}]{' *' if significant else ''}"


def _record(point: MapPoint, arm: str, score: ArmScore) -> dict[str, Value]:
    record: dict[str, Value] = {
        "mismatched": point.mismatched,
        "known": point.known,
        "arm": arm,
        "posts": point.posts,
        "seeds": point.seeds,
        "f1_mean": score.f1,
        "f1_sd": score.f1_sd,
    }
    for name, gain in (("over_original", score.over_original), ("over_text", score.over_text)):
        record |= dict(zip((name, f"{name}_low", f"{name}_high"), gain or (None,) * 3, strict=True))
    for name, share in (("original", point.original), ("synthesized", point.synthesized)):
        record[f"{name}_matched"] = share.matched if share else None
        record[f"{name}_total"] = share.total if share else None
    return record


def _notes(when: WhenMap, resamples: int) -> list[str]:
    posts = sorted({point.posts for point in when.points})
    by_seeds: dict[int, int] = {}
    for point in when.points:
        by_seeds[point.seeds] = by_seeds.get(point.seeds, 0) + 1
    seeds = ", ".join(
        f"{count} with {number} {'seed' if number == 1 else 'seeds'}" for number, count in sorted(by_seeds.items())
    )
    rejected = [
        f"{point.mismatched:.0%} mismatched and {point.known:.0%} known ({point.rejection_reason})"
        for point in when.points
        if point.rejection_reason
    ]
    num_posts = " to ".join(f"{number:,}" for number in dict.fromkeys((posts[0], posts[-1])))
    return [
        f"{when.recognizer}, {num_posts} labeled test posts. {len(when.points)} corpora, {seeds}; they differ only in "
        "the images that were exchanged, and in the rare names that were exchanged for others.",
        "F1: micro-averaged over the entities of the test posts, in percent. Mean ± standard deviation (n - 1) over "
        f"the seeds. {MISSING}: no result.",
        "− original, − text: difference of mean F1 from the posts' own images and from no images, in percentage "
        f"points, with a 95 % confidence interval from a paired bootstrap over test posts ({resamples:,} resamples), "
        f"which accounts for the choice of test posts only. *: p < {ALPHA} after Holm's adjustment for all differences "
        "of the map.",
        *(
            [f"The checks rejected these mixtures, which were used all the same: {'; '.join(rejected)}."]
            if rejected
            else []
        ),
    ]
