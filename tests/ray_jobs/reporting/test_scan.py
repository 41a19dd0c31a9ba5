"""Tests of the first pass over an arm, against plain loops over the rows of the run."""

from collections import Counter
from pathlib import Path

import pytest

from amia.report.sampling import decile_of
from ray_jobs.reporting.scan import NUM_EXTREMES, POSTS_PER_DECILE, ScanResult, scan_arm
from ray_jobs.storage.arm import open_arm
from ray_jobs.storage.store import Store
from tests.helpers.written_runs import WrittenRun, count_by, write_run


@pytest.fixture(scope="module")
def scan(written: WrittenRun) -> ScanResult:
    return scan_arm(open_arm(written.store, "adaptive"), seed=0)


def test_reads_every_post_once(scan: ScanResult, written: WrittenRun) -> None:
    assert scan.posts == len(written.rows) == 600
    assert scan.splits == count_by(written.rows, "split")


def test_theta_histograms(scan: ScanResult, written: WrittenRun) -> None:
    scored = [row for row in written.rows if row["loss"] is not None]
    histograms = scan.thetas.histograms()
    assert {histogram.split for histogram in histograms} == {"train", "validation", "test"}
    for histogram in histograms:
        thetas = [row["theta"] for row in scored if row["split"] == histogram.split]
        assert histogram.total == len(thetas)
        assert histogram.matched == sum(theta > 0.5 for theta in thetas)
        expected = Counter(min(19, int(20 * theta)) for theta in thetas)
        assert list(histogram.counts) == [expected[index] for index in range(20)]


def test_theta_histograms_of_synthesized_images(tmp_path: Path, scan: ScanResult) -> None:
    assert scan.thetas_synthesized.histograms() == [], "the arm does not use them"
    run = write_run(WrittenRun(store=Store(tmp_path), posts=300, arms=("two-sided",), synthesized_match=0.7))
    scanned = scan_arm(open_arm(run.store, "two-sided"), seed=0)
    for histogram in scanned.thetas_synthesized.histograms():
        rows = [row for row in run.rows if row["split"] == histogram.split]
        thetas = [row["theta_synthesized"] for row in rows if "theta_synthesized" in row]
        assert 0 < histogram.matched < histogram.total == len(thetas)
        assert histogram.matched == sum(theta > 0.5 for theta in thetas)
        assert sum(histogram.counts) == len(thetas)
    selected = [post.theta_synthesized for post in scanned.selected_posts()]
    assert any(theta is not None for theta in selected)


def test_sample_sizes_and_extremes(scan: ScanResult, written: WrittenRun) -> None:
    scored = [row for row in written.rows if row["loss"] is not None]
    by_decile = Counter(decile_of(row["theta"]) for row in scored)
    for index, decile in enumerate(scan.sample.deciles):
        assert decile.seen == by_decile[index]
        assert len(decile.items) == min(POSTS_PER_DECILE, by_decile[index])
    losses = sorted(row["loss"] for row in scored)
    assert [post.loss for post in scan.sample.extremes["highest loss"].items] == losses[::-1][:NUM_EXTREMES]
    assert [post.loss for post in scan.sample.extremes["lowest loss"].items] == losses[:NUM_EXTREMES]
    assert scan.unusable.seen == 600 - len(scored)
    assert scan.unscored.seen == 0


def test_number_of_selected_posts_is_bounded(scan: ScanResult) -> None:
    bound = 12 * POSTS_PER_DECILE + 4 * NUM_EXTREMES
    assert len(scan.selected_posts()) <= bound + 4 * len(scan.failures)
    result = ScanResult()
    row = {"id": "x", "split": "train", "theta": 0.5, "ratio": 0.5, "loss": 1.0, "cosine": 0.1}
    row |= {"synthesis_status": "ok"}
    for number in range(300):  # each with another reason of failure
        result.add("train-00000-of-00001", [{**row, "id": f"{number}", "image_status": f"bad_image(odd {number})"}], 0)
    assert len(result.selected_posts()) < bound + 4 * 41


def test_selects_posts_from_the_first_shards(scan: ScanResult) -> None:
    """Posts are ordered by a hash, so the first shards are a random sample; few shards of images have to be read."""
    largest = max(scan.sample.deciles, key=lambda decile: decile.seen)
    assert {post.shard[-14:-9] for post in largest.items} == {"00000"}
