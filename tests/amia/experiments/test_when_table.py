"""The map built from results, against the bootstrap that is called directly."""

import csv
import io
from collections.abc import Mapping

import numpy as np
import pytest

from amia.experiments.match_shares import MatchShares, Share
from amia.experiments.results import CellResult
from amia.experiments.run_specs import WHEN_ARMS
from amia.experiments.significance import holm, paired_bootstrap
from amia.experiments.when_map import WhenMap
from amia.experiments.when_table import CSV_COLUMNS, MapCorpus, build_when_map, when_table
from tests.helpers.simulated_results import make_cell, random_counts

RECOGNIZER = "bert-resnet-crf"
RESAMPLES = 2000
SHARES = MatchShares(original=Share(matched=60, total=100), synthesized=Share(matched=80, total=100))
CORPORA = {
    f"m{m:g}k{k:g}": MapCorpus(mismatched=m, known=k, seeds=(0, 1) if m == 0.4 else (0,), shares=SHARES)
    for m in (0.0, 0.4)
    for k in (0.5, 1.0)
}
RECALL = {"text": 0.55, "original": 0.6, "adaptive": 0.85, "two-sided": 0.65, "synthesized": 0.6, "cosine": 0.6}


def simulate() -> list[CellResult]:
    """Return results of all arms at two seeds, although some corpora have only one."""
    rng = np.random.default_rng(3)
    gold = rng.integers(0, 4, 150)
    return [
        make_cell(
            random_counts(rng, gold, RECALL[arm])[0],
            data=name,
            recognizer=RECOGNIZER,
            arm=arm,
            seed=seed,
            theta=np.full(150, np.nan) if arm in ("text", "synthesized") else np.full(150, 0.7),
        )
        for name in CORPORA
        for arm in WHEN_ARMS
        for seed in (0, 1)
    ]


CELLS = simulate()


@pytest.fixture(scope="module")
def when() -> WhenMap:
    return build_when_map(CELLS, CORPORA, recognizer=RECOGNIZER, resamples=RESAMPLES, notice="drawn")


def counts(name: str, arm: str) -> np.ndarray:
    """Return the span counts [S, posts, 3] of the seeds that a corpus has."""
    seeds = CORPORA[name].seeds
    return np.array([cell.counts for cell in CELLS if (cell.data, cell.arm) == (name, arm) and cell.seed in seeds])


def test_gains_are_those_of_the_paired_bootstrap(when: WhenMap) -> None:
    p_values, significant = [], []
    for point, name in zip(when.points, CORPORA, strict=True):
        assert list(point.arms) == list(WHEN_ARMS)
        for arm in WHEN_ARMS:
            for baseline in ("original", "text"):
                gain = getattr(point.arms[arm], f"over_{baseline}")
                if arm == baseline:
                    assert gain is None
                    continue
                systems = [counts(name, arm), counts(name, baseline)]
                (expected,) = paired_bootstrap(systems, [(0, 1)], resamples=RESAMPLES)
                assert gain == pytest.approx([100 * v for v in (expected.observed, expected.low, expected.high)])
                p_values.append(expected.p)
                significant.append(f"over_{baseline}" in point.arms[arm].significant)
    assert significant == [p < 0.05 for p in holm(p_values)]
    assert any(significant)
    assert not all(significant)


def test_seeds_of_a_point(when: WhenMap) -> None:
    assert [point.seeds for point in when.points] == [1, 1, 2, 2]
    assert [point.arms["text"].f1_sd is None for point in when.points] == [True, True, False, False]
    assert {point.posts for point in when.points} == {150}
    assert {point.original for point in when.points} == {SHARES.original}
    assert {point.synthesized for point in when.points} == {SHARES.synthesized}


def test_table_shows_both_gains(when: WhenMap) -> None:
    table = when_table(when, resamples=RESAMPLES)
    assert len(table.rows) == 2 * len(WHEN_ARMS)
    assert table.over[2:] == ["50% of the names known"] * 3 + ["100% of the names known"] * 3
    row = table.rows[len(WHEN_ARMS) + list(WHEN_ARMS).index("adaptive")]
    score = when.points[2].arms["adaptive"]
    assert score.over_original is not None
    assert row[:2] == ["40%", "adaptive"]
    assert row[2] == f"{score.f1:.2f} ± {score.f1_sd:.2f}"
    assert row[3].startswith("{:+.2f} [{:+.2f}, {:+.2f}]".format(*score.over_original))
    assert table.rows[0][1:5] == ["text", table.rows[0][2], table.rows[0][3], "–"]
    assert table.intervals[0][4] is None
    assert table.intervals[0][3] == when.points[0].arms["text"].over_original
    notes = " ".join(table.notes)
    assert "4 corpora, 2 with 1 seed, 2 with 2 seeds" in notes
    assert "150 labeled test posts" in notes
    assert table.notes[-1] == "drawn"


def test_notes_name_rejected_mixtures(when: WhenMap) -> None:
    assert "rejected" not in " ".join(when_table(when, resamples=RESAMPLES).notes)
    rejected = when.points[1].model_copy(update={"rejection_reason": "one component fits better"})
    notes = when_table(
        when.model_copy(update={"points": (when.points[0], rejected, *when.points[2:])}), resamples=9
    ).notes
    assert (
        "The checks rejected these mixtures, which were used all the same: 0% mismatched and 100% known (one component "
        "fits better)."
    ) in notes


def test_csv_holds_all_numbers(when: WhenMap) -> None:
    rows = list(csv.DictReader(io.StringIO(when_table(when, resamples=RESAMPLES).csv())))
    assert len(rows) == 4 * len(WHEN_ARMS)
    assert tuple(rows[0]) == CSV_COLUMNS
    expected = {(p.mismatched, p.known, arm): (p, score) for p in when.points for arm, score in p.arms.items()}
    for row in rows:
        point, score = expected.pop((float(row["mismatched"]), float(row["known"]), row["arm"]))
        assert float(row["f1_mean"]) == score.f1
        assert int(row["seeds"]) == point.seeds
        assert (int(row["original_matched"]), int(row["synthesized_total"])) == (60, 100)
        gain = score.over_text
        shown = tuple(float(row[name]) for name in ("over_text", "over_text_low", "over_text_high") if row[name])
        assert shown == (gain or ())


def test_missing_results_are_dashes() -> None:
    corpora: Mapping[str, MapCorpus] = {
        name: MapCorpus(mismatched=corpus.mismatched, known=corpus.known, seeds=corpus.seeds, shares=None)
        for name, corpus in CORPORA.items()
    }
    some = [cell for cell in CELLS if (cell.data, cell.arm) not in {("m0k0.5", "original"), ("m0k1", "adaptive")}]
    when = build_when_map(some, corpora, recognizer=RECOGNIZER, resamples=RESAMPLES)
    table = when_table(when, resamples=RESAMPLES)
    by_arm = {row[1]: row for row in table.rows[: len(WHEN_ARMS)]}
    assert by_arm["original"][2:5] == ["–", "–", "–"]
    assert by_arm["adaptive"][5:8] == ["–", "–", "–"]
    assert by_arm["adaptive"][3] == "–"
    assert by_arm["adaptive"][4] != "–"
    assert table.records[0]["original_total"] is None
