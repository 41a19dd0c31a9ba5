"""Tests of text, thumbnails and groups of the selected posts."""

from collections import Counter

import pytest

from amia.mner.spans import lenient_spans
from amia.report.sampling import decile_of
from ray_jobs.reporting.images import PostView, group_posts, read_post_views, select_preview
from ray_jobs.reporting.scan import NUM_EXTREMES, PostKey, ScanResult, scan_arm
from ray_jobs.storage.arm import open_arm
from tests.helpers.written_runs import WrittenRun


@pytest.fixture(scope="module")
def scan(written: WrittenRun) -> ScanResult:
    return scan_arm(open_arm(written.store, "adaptive"), seed=0)


@pytest.fixture(scope="module")
def views(scan: ScanResult, written: WrittenRun) -> dict[PostKey, PostView]:
    arm = open_arm(written.store, "adaptive")
    return read_post_views(arm, written.plan.types, written.settings.image, scan.selected_posts())


def test_text_and_images_of_selected_posts(
    scan: ScanResult, views: dict[PostKey, PostView], written: WrittenRun
) -> None:
    rows = {row["id"]: row for row in written.rows}
    for post in scan.selected_posts():
        row, view = rows[post.id], views[post.key]
        assert view.text == row["text"]
        assert [word for piece in view.pieces for word in piece.words] == row["tokens"]
        entities = [(piece.text, piece.type) for piece in view.pieces if piece.type]
        gold = lenient_spans(row["ner_tags"])
        assert entities == [(" ".join(row["tokens"][span.start : span.end]), span.type) for span in gold]
        assert (view.original is not None) == (row["image_status"] == "ok")
        assert (view.synthesized is not None) == (row["synthesis_status"] == "ok")
        assert (view.augmented is not None) == (post.ratio is not None)


def test_groups_are_deciles_with_extremes(scan: ScanResult, views: dict[PostKey, PostView]) -> None:
    groups = group_posts(scan, views)
    assert [group.title for group in groups[:2]] == ["θ 0.0 – 0.1", "θ 0.1 – 0.2"]
    for index, group in enumerate(groups[:10]):
        thetas = [triple.theta or 0.0 for triple in group.triples]
        assert thetas == sorted(thetas)
        assert {decile_of(theta) for theta in thetas} <= {index}
    ids = [triple.id for group in groups for triple in group.triples]
    assert len(ids) == len(set(ids))
    notes = Counter(note for group in groups for triple in group.triples for note in triple.notes)
    assert all(notes[f"{end} {name}"] == NUM_EXTREMES for end in ("lowest", "highest") for name in ("theta", "loss"))
    assert groups[10].title == "Without a valid image"
    assert all(triple.original is None for triple in groups[10].triples)


def test_preview_is_sorted_by_theta(scan: ScanResult, views: dict[PostKey, PostView]) -> None:
    thetas = [triple.theta or 0.0 for triple in select_preview(scan, views)]
    assert len(thetas) >= 4
    assert thetas == sorted(thetas)
