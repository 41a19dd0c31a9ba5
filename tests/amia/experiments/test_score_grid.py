"""Tests of scores and comparisons over seeds and parts, against plain loops over the cells."""

import statistics

import numpy as np
import pytest

from amia.errors import RunError
from amia.experiments.results import PARTS, CellResult
from amia.experiments.run_specs import RunSpec
from amia.experiments.score_grid import Pair, ScoreGrid, Subset
from amia.experiments.significance import holm, paired_bootstrap
from tests.helpers.simulated_results import make_cell, random_counts

GOLD = np.random.default_rng(1).integers(0, 4, 60)
THETA = np.random.default_rng(2).random(60)
HAS_IMAGE = np.random.default_rng(3).random(60) < 0.8
SEEDS = (4, 5, 6)
ADAPTIVE, ORIGINAL = RunSpec("umt", "adaptive"), RunSpec("umt", "original")


def cells_of_arm(arm: str, recall: float = 0.6, seeds: tuple[int, ...] = SEEDS) -> list[CellResult]:
    rng = np.random.default_rng(sum(map(ord, arm)))
    counts = random_counts(rng, GOLD, recall, len(seeds))
    return [
        make_cell(of_seed, arm=arm, seed=seed, theta=np.where(HAS_IMAGE, THETA, np.nan), has_image=HAS_IMAGE)
        for seed, of_seed in zip(seeds, counts, strict=True)
    ]


@pytest.mark.parametrize("part", PARTS)
def test_score_is_mean_and_std_over_seeds(part):
    results = cells_of_arm("adaptive")
    score = ScoreGrid(results, SEEDS, 10).score("tweets", ADAPTIVE, part)
    assert score is not None
    assert score.num_seeds == 3
    for name in ("precision", "recall", "f1"):
        values = [100 * getattr(result.score(part), name) for result in results]
        assert getattr(score, name).mean == pytest.approx(statistics.mean(values))
        assert getattr(score, name).std == pytest.approx(np.std(values, ddof=1))


def test_ignores_other_seeds_and_one_seed_has_no_std():
    score = ScoreGrid(cells_of_arm("adaptive"), (5, 9), 10).score("tweets", ADAPTIVE)
    assert score is not None
    assert (score.num_seeds, score.f1.std) == (1, None)
    assert score.f1.mean == pytest.approx(100 * cells_of_arm("adaptive")[1].score().f1)


def test_comparison_is_bootstrap_and_holm():
    results = [*cells_of_arm("adaptive", 0.7), *cells_of_arm("original", 0.6, (4, 5))]
    family = [Pair("tweets", Subset(ADAPTIVE, part), Subset(ORIGINAL, part)) for part in PARTS]
    comparisons = ScoreGrid(results, SEEDS, 200).compare(family)
    p_values = []
    for pair in family:
        mask = results[0].mask(pair.first.part)
        first, second = (
            np.stack([result.counts[mask] for result in results if result.arm == arm])
            for arm in ("adaptive", "original")
        )
        (expected,) = paired_bootstrap([first, second], [(0, 1)], resamples=200)
        p_values.append(expected.p)
        comparison = comparisons[pair]
        assert (comparison.difference, comparison.low, comparison.high, comparison.p) == pytest.approx(
            (100 * expected.observed, 100 * expected.low, 100 * expected.high, expected.p)
        )
    assert [comparisons[pair].p_holm for pair in family] == holm(p_values)


def test_counts_higher_seeds_among_common_seeds():
    results = [*cells_of_arm("adaptive", 0.65), *cells_of_arm("original", 0.6, (5, 6, 7))]
    grid = ScoreGrid(results, (*SEEDS, 7), 10)
    by_seed = {
        arm: {result.seed: micro_f1(result.counts) for result in results if result.arm == arm}
        for arm in ("adaptive", "original")
    }
    higher = sum(by_seed["adaptive"][seed] > by_seed["original"][seed] for seed in (5, 6))
    for first, second, expected in (
        (ADAPTIVE, ORIGINAL, higher),
        (ORIGINAL, ADAPTIVE, 2 - higher),
        (ADAPTIVE, ADAPTIVE, 0),
    ):
        pair = Pair("tweets", Subset(first), Subset(second))
        comparison = grid.compare([pair])[pair]
        assert (comparison.num_higher, comparison.num_seeds) == (expected, 3 if first == second else 2)


def test_two_parts_are_resampled_together():
    results = cells_of_arm("adaptive")
    pair = Pair("tweets", Subset(ADAPTIVE, "matched"), Subset(ADAPTIVE, "mismatched"))
    comparison = ScoreGrid(results, SEEDS, 500).compare([pair])[pair]
    f1 = [100 * (result.score("matched").f1 - result.score("mismatched").f1) for result in results]
    assert comparison.difference == pytest.approx(statistics.mean(f1))
    # A plain loop with its own draws agrees as far as 500 draws allow.
    rng, with_image = np.random.default_rng(8), np.flatnonzero(HAS_IMAGE)
    differences = []
    for _ in range(500):
        sample = rng.choice(with_image, len(with_image))
        matched, mismatched = (sample[THETA[sample] > 0.5], sample[THETA[sample] <= 0.5])
        differences.append(
            statistics.mean(
                100 * (micro_f1(result.counts[matched]) - micro_f1(result.counts[mismatched])) for result in results
            )
        )
    std = np.std(differences)
    assert abs(comparison.low - np.quantile(differences, 0.025)) < 0.4 * std
    assert abs(comparison.high - np.quantile(differences, 0.975)) < 0.4 * std


def micro_f1(counts: np.ndarray) -> float:
    true_positives, predicted, gold = counts.sum(0)
    return float(2 * true_positives / (predicted + gold))


def test_missing_results_have_no_score_and_no_comparison():
    grid = ScoreGrid(cells_of_arm("adaptive"), SEEDS, 10)
    pair = Pair("tweets", Subset(ADAPTIVE), Subset(ORIGINAL))
    assert grid.score("tweets", ORIGINAL) is None
    assert grid.score("others", ADAPTIVE) is None
    assert grid.num_posts("others") == 0
    assert grid.score("tweets", RunSpec("umt", "adaptive", swapped=True)) is None
    assert grid.compare([pair, Pair("others", pair.first, pair.first)]) == {}


def test_part_without_gold_entities_has_no_score():
    grid = ScoreGrid([make_cell([[0, 1, 0], [1, 1, 1]], theta=np.array([0.2, 0.8]))], [0], 10)
    assert grid.score("tweets", ADAPTIVE, "mismatched") is None
    assert grid.score("tweets", ADAPTIVE, "matched") is not None
    assert grid.score("tweets", ADAPTIVE) is not None


def test_theta_of_adaptive_defines_the_parts_of_all_arms():
    text = make_cell([[1, 1, 1], [0, 1, 1]], arm="text", theta=np.full(2, np.nan))
    shuffled = make_cell([[1, 1, 1], [0, 1, 1]], arm="shuffled", theta=np.array([0.1, 0.9]))
    adaptive = make_cell([[1, 1, 1], [0, 1, 1]], theta=np.array([0.9, 0.1]))
    grid = ScoreGrid([text, shuffled, adaptive], [0], 10)
    for arm in ("text", "shuffled", "adaptive"):
        score = grid.score("tweets", RunSpec("umt", arm), "matched")
        assert score is not None
        assert score.f1.mean == 100


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({}, "two results for one cell"),
        ({"arm": "original", "ids": ("post-1", "post-0")}, "different test posts"),
        ({"arm": "original", "counts": [[1, 1, 1], [0, 0, 0]]}, "different gold spans"),
        ({"arm": "original", "has_image": np.array([True, False])}, "different posts with an image"),
        ({"seed": 1, "theta": np.array([0.9, 0.8])}, "different thetas"),
        ({"arm": "original", "counts": [[1, 1, 1]]}, "different test posts"),
    ],
)
def test_rejects_incompatible_results(overrides, message):
    cell = make_cell([[1, 1, 1], [0, 0, 1]])
    with pytest.raises(RunError, match=message) as caught:
        ScoreGrid([cell, make_cell(**{"counts": [[1, 1, 1], [0, 0, 1]], **overrides})], [0, 1], 10)
    assert "tweets, umt, " in str(caught.value)


def test_other_arms_may_have_another_theta():
    other = make_cell([[1, 1, 1]], arm="shuffled", theta=np.array([0.1]))
    ScoreGrid([make_cell([[1, 1, 1]]), other], [0], 10)
