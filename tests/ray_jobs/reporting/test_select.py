"""Which posts `amia report` shows, held against plain loops over the run's rows."""

from collections import Counter

import pytest

from amia.mner.spans import lenient_spans
from amia.report.sampling import decile_of
from ray_jobs.reporting.images import PostView, read_post_views
from ray_jobs.reporting.scan import A_DECILE, EXTREMES, ScanResult, scan_arm
from ray_jobs.reporting.select import groups, places, strip
from ray_jobs.storage.arm import open_arm
from tests.helpers.written_runs import Written, counted


@pytest.fixture(scope="module")
def looked(written: Written) -> ScanResult:
    return scan_arm(open_arm(written.store, "adaptive"), seed=0)


# What was looked at


def test_every_post_is_looked_at_once(looked: ScanResult, written: Written) -> None:
    assert looked.posts == len(written.rows) == 600
    assert looked.splits == counted(written.rows, "split")


def test_theta_by_split_is_a_plain_loop_s(looked: ScanResult, written: Written) -> None:
    scored = [row for row in written.rows if row["loss"] is not None]
    assert {each.split for each in looked.split_thetas()} == {"train", "validation", "test"}
    for each in looked.split_thetas():
        thetas = [row["theta"] for row in scored if row["split"] == each.split]
        assert each.total == len(thetas)
        assert each.matched == sum(theta > 0.5 for theta in thetas)
        expected = Counter(min(19, int(20 * theta)) for theta in thetas)
        assert list(each.posts) == [expected[bar] for bar in range(20)]


def test_the_sample_is_bounded_and_says_how_many_there_are(looked: ScanResult, written: Written) -> None:
    scored = [row for row in written.rows if row["loss"] is not None]
    tenths = Counter(decile_of(row["theta"]) for row in scored)
    for number, decile in enumerate(looked.sample.deciles):
        assert decile.seen == tenths[number]
        assert len(decile.items) == min(A_DECILE, tenths[number])
    losses = sorted(row["loss"] for row in scored)
    assert [place.loss for place in looked.sample.extremes["highest loss"].items] == losses[::-1][:EXTREMES]
    assert [place.loss for place in looked.sample.extremes["lowest loss"].items] == losses[:EXTREMES]
    assert looked.unusable.seen == 600 - len(scored)
    assert looked.unscored.seen == 0


def test_what_is_kept_does_not_grow_with_the_run(looked: ScanResult) -> None:
    assert len(places(looked)) <= 12 * A_DECILE + 4 * EXTREMES + 4 * len(looked.failures)
    again = ScanResult()
    row = {"id": "x", "split": "train", "theta": 0.5, "ratio": 0.5, "loss": 1.0, "cosine": 0.1}
    row |= {"synthesis_status": "ok"}
    for number in range(300):  # a new reason each time
        again.take("train-00000-of-00001", [{**row, "id": f"{number}", "image_status": f"bad_image(odd {number})"}], 0)
    assert len(places(again)) < 12 * A_DECILE + 4 * EXTREMES + 4 * 41


def test_posts_are_taken_from_a_split_s_first_shards(looked: ScanResult) -> None:
    """The plan orders posts by a hash, so that is a sample too, and the images of few shards are fetched."""
    crowded = max(looked.sample.deciles, key=lambda decile: decile.seen)
    assert {place.shard[-14:-9] for place in crowded.items} == {"00000"}


# What is shown


@pytest.fixture(scope="module")
def pictures(looked: ScanResult, written: Written) -> dict[tuple[str, int], PostView]:
    arm = open_arm(written.store, "adaptive")
    return read_post_views(arm, written.plan.types, written.settings.image, places(looked))


def test_each_chosen_post_has_its_own_text_and_pictures(
    looked: ScanResult, pictures: dict[tuple[str, int], PostView], written: Written
) -> None:
    rows = {row["id"]: row for row in written.rows}
    for place in places(looked):
        row, seen = rows[place.id], pictures[place.key]
        assert seen.text == row["text"]
        assert [word for piece in seen.pieces for word in piece.words] == row["tokens"]
        entities = [(piece.text, piece.type) for piece in seen.pieces if piece.type]
        gold = lenient_spans(row["ner_tags"])
        assert entities == [(" ".join(row["tokens"][span.start : span.end]), span.type) for span in gold]
        assert (seen.original is not None) == (row["image_status"] == "ok")
        assert (seen.synthesized is not None) == (row["synthesis_status"] == "ok")
        assert (seen.augmented is not None) == (place.ratio is not None)


def test_groups_are_tenths_of_theta_with_the_extremes_among_them(
    looked: ScanResult, pictures: dict[tuple[str, int], PostView]
) -> None:
    found = groups(looked, pictures)
    assert [group.title for group in found[:2]] == ["θ 0.0 – 0.1", "θ 0.1 – 0.2"]
    for number, group in enumerate(found[:10]):
        thetas = [triple.theta or 0.0 for triple in group.triples]
        assert thetas == sorted(thetas)
        assert {decile_of(theta) for theta in thetas} <= {number}
    ids = [triple.id for group in found for triple in group.triples]
    assert len(ids) == len(set(ids))
    noted = Counter(note for group in found for triple in group.triples for note in triple.notes)
    assert all(noted[f"{end} {name}"] == EXTREMES for end in ("lowest", "highest") for name in ("theta", "loss"))
    assert found[10].title == "Without a usable image"
    assert all(triple.original is None for triple in found[10].triples)


def test_the_strip_rises(looked: ScanResult, pictures: dict[tuple[str, int], PostView]) -> None:
    thetas = [triple.theta or 0.0 for triple in strip(looked, pictures)]
    assert len(thetas) >= 4
    assert thetas == sorted(thetas)
