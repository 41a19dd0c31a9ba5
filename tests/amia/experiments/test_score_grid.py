"""Scores and comparisons over seeds and parts, against plain loops over the cells."""

import statistics

import numpy as np
import pytest

from amia.errors import RunError
from amia.experiments.results import PARTS, CellResult
from amia.experiments.run_specs import RunSpec
from amia.experiments.score_grid import Pair, ScoreGrid, Subset
from amia.experiments.significance import holm, paired_bootstrap
from tests.helpers.simulated_results import cell, drawn_counts

GOLD = np.random.default_rng(1).integers(0, 4, 60)
THETA = np.random.default_rng(2).random(60)
HAS_IMAGE = np.random.default_rng(3).random(60) < 0.8
SEEDS = (4, 5, 6)
ADAPTIVE, ORIGINAL = RunSpec("umt", "adaptive"), RunSpec("umt", "original")


def cells(arm: str, found: float = 0.6, seeds: tuple[int, ...] = SEEDS) -> list[CellResult]:
    rng = np.random.default_rng(sum(map(ord, arm)))
    counts = drawn_counts(rng, GOLD, found, len(seeds))
    return [
        cell(each, arm=arm, seed=seed, theta=np.where(HAS_IMAGE, THETA, np.nan), has_image=HAS_IMAGE)
        for seed, each in zip(seeds, counts, strict=True)
    ]


@pytest.mark.parametrize("part", PARTS)
def test_a_score_is_mean_and_deviation_of_the_seeds(part):
    results = cells("adaptive")
    score = ScoreGrid(results, SEEDS, 10).score("tweets", ADAPTIVE, part)
    assert score is not None
    assert score.seeds == 3
    for name in ("precision", "recall", "f1"):
        shares = [100 * getattr(each.score(part), name) for each in results]
        assert getattr(score, name).mean == pytest.approx(statistics.mean(shares))
        assert getattr(score, name).deviation == pytest.approx(np.std(shares, ddof=1))


def test_only_seeds_that_were_asked_for_count_and_one_has_no_deviation():
    score = ScoreGrid(cells("adaptive"), (5, 9), 10).score("tweets", ADAPTIVE)
    assert score is not None
    assert (score.seeds, score.f1.deviation) == (1, None)
    assert score.f1.mean == pytest.approx(100 * cells("adaptive")[1].score().f1)


def test_a_comparison_is_the_bootstrap_over_the_parts_posts_and_holm_over_the_family():
    results = [*cells("adaptive", 0.7), *cells("original", 0.6, (4, 5))]
    family = [Pair("tweets", Subset(ADAPTIVE, part), Subset(ORIGINAL, part)) for part in PARTS]
    told = ScoreGrid(results, SEEDS, 200).compare(family)
    raw = []
    for pair in family:
        mask = results[0].mask(pair.first.part)
        first, second = (
            np.stack([each.counts[mask] for each in results if each.arm == arm]) for arm in ("adaptive", "original")
        )
        (expected,) = paired_bootstrap([first, second], [(0, 1)], resamples=200)
        raw.append(expected.p)
        found = told[pair]
        assert (found.difference, found.low, found.high, found.p) == pytest.approx(
            (100 * expected.observed, 100 * expected.low, 100 * expected.high, expected.p)
        )
    assert [told[pair].adjusted for pair in family] == holm(raw)


def test_seeds_that_agree_are_counted_among_those_that_both_have():
    results = [*cells("adaptive", 0.65), *cells("original", 0.6, (5, 6, 7))]
    grid = ScoreGrid(results, (*SEEDS, 7), 10)
    by_seed = {
        arm: {each.seed: f1_of(each.counts) for each in results if each.arm == arm} for arm in ("adaptive", "original")
    }
    higher = sum(by_seed["adaptive"][seed] > by_seed["original"][seed] for seed in (5, 6))
    for one, other, ahead in ((ADAPTIVE, ORIGINAL, higher), (ORIGINAL, ADAPTIVE, 2 - higher), (ADAPTIVE, ADAPTIVE, 0)):
        pair = Pair("tweets", Subset(one), Subset(other))
        told = grid.compare([pair])[pair]
        assert (told.ahead, told.seeds) == (ahead, 3 if one == other else 2)


def test_two_parts_are_drawn_together_each_side_counting_in_its_own():
    results = cells("adaptive")
    pair = Pair("tweets", Subset(ADAPTIVE, "matched"), Subset(ADAPTIVE, "mismatched"))
    told = ScoreGrid(results, SEEDS, 500).compare([pair])[pair]
    f1 = [100 * (each.score("matched").f1 - each.score("mismatched").f1) for each in results]
    assert told.difference == pytest.approx(statistics.mean(f1))
    # A plain loop with draws of its own agrees as well as 500 of them let it.
    rng, places = np.random.default_rng(8), np.flatnonzero(HAS_IMAGE)
    differences = []
    for _ in range(500):
        drawn = rng.choice(places, len(places))
        one, other = (drawn[THETA[drawn] > 0.5], drawn[THETA[drawn] <= 0.5])
        differences.append(
            statistics.mean(100 * (f1_of(each.counts[one]) - f1_of(each.counts[other])) for each in results)
        )
    spread = np.std(differences)
    assert abs(told.low - np.quantile(differences, 0.025)) < 0.4 * spread
    assert abs(told.high - np.quantile(differences, 0.975)) < 0.4 * spread


def f1_of(counts: np.ndarray) -> float:
    right, predicted, gold = counts.sum(0)
    return float(2 * right / (predicted + gold))


def test_what_was_not_run_has_no_score_and_no_comparison():
    grid = ScoreGrid(cells("adaptive"), SEEDS, 10)
    pair = Pair("tweets", Subset(ADAPTIVE), Subset(ORIGINAL))
    assert grid.score("tweets", ORIGINAL) is None
    assert grid.score("others", ADAPTIVE) is None
    assert grid.posts("others") == 0
    assert grid.score("tweets", RunSpec("umt", "adaptive", swapped=True)) is None
    assert grid.compare([pair, Pair("others", pair.first, pair.first)]) == {}


def test_nothing_to_find_has_no_score():
    grid = ScoreGrid([cell([[0, 1, 0], [1, 1, 1]], theta=np.array([0.2, 0.8]))], [0], 10)
    assert grid.score("tweets", ADAPTIVE, "mismatched") is None
    assert grid.score("tweets", ADAPTIVE, "matched") is not None
    assert grid.score("tweets", ADAPTIVE) is not None


def test_theta_of_the_adaptive_arm_parts_the_posts_of_every_arm():
    text = cell([[1, 1, 1], [0, 1, 1]], arm="text", theta=np.full(2, np.nan))
    shuffled = cell([[1, 1, 1], [0, 1, 1]], arm="shuffled", theta=np.array([0.1, 0.9]))
    adaptive = cell([[1, 1, 1], [0, 1, 1]], theta=np.array([0.9, 0.1]))
    grid = ScoreGrid([text, shuffled, adaptive], [0], 10)
    for arm in ("text", "shuffled", "adaptive"):
        score = grid.score("tweets", RunSpec("umt", arm), "matched")
        assert score is not None
        assert score.f1.mean == 100


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, "two results for one cell"),
        ({"arm": "original", "ids": ("post-1", "post-0")}, "different test posts"),
        ({"arm": "original", "counts": [[1, 1, 1], [0, 0, 0]]}, "different gold spans"),
        ({"arm": "original", "has_image": np.array([True, False])}, "different posts with an image"),
        ({"seed": 1, "theta": np.array([0.9, 0.8])}, "different thetas"),
        ({"arm": "original", "counts": [[1, 1, 1]]}, "different test posts"),
    ],
)
def test_results_that_cannot_stand_side_by_side_are_refused(other, said):
    one = cell([[1, 1, 1], [0, 0, 1]])
    with pytest.raises(RunError, match=said) as refused:
        ScoreGrid([one, cell(**{"counts": [[1, 1, 1], [0, 0, 1]], **other})], [0, 1], 10)
    assert "tweets, umt, " in str(refused.value)


def test_controls_may_have_a_theta_of_their_own():
    ScoreGrid([cell([[1, 1, 1]]), cell([[1, 1, 1]], arm="adaptive-batch", theta=np.array([0.1]))], [0], 10)
