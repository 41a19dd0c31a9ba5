"""Slices against plain loops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.evaluation import ScoredPost, lenient, slice_lines, slice_reports, strict, surface_forms
from amia.mner.metrics import Counts
from amia.mner.spans import TYPES, Span, label_names
from amia.posts import to_bio2

LABELS = label_names(TYPES)
READ = [*LABELS, "B-OTHER", "I-OTHER"]
WORDS = ("Paris", "paris", "Ford", "of", "@x")


@st.composite
def judged(draw: st.DrawFn) -> ScoredPost:
    tokens = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6))
    tags = [draw(st.sampled_from(READ)) for _ in tokens]
    gold, _ = to_bio2(tags)
    return ScoredPost(
        id="p",
        tokens=tuple(tokens),
        tags=tuple(tags) if draw(st.booleans()) else None,
        gold=gold,
        predicted=tuple(tag if draw(st.booleans()) else draw(st.sampled_from(LABELS)) for tag in gold),
        theta=draw(st.sampled_from([None, 0.0, 0.4, 0.5, 0.6])),
        has_image=draw(st.booleans()),
    )


def loop_spans(tags: tuple[str, ...], opening: str) -> list[tuple[int, int, str]]:
    """By growing each span word by word."""
    found, place = [], 0
    while place < len(tags):
        end = place + 1
        if tags[place][0] in opening:
            while end < len(tags) and tags[end] == f"I-{tags[place][2:]}":
                end += 1
            found.append((place, end, tags[place][2:]))
        place = end
    return found


def loop(posts: list[ScoredPost], train: list[ScoredPost], name: str, opening: str) -> dict[str, list[int]]:
    """Type -> true positives, predicted, gold."""
    known: dict[str, set[str]] = {}
    for post in train:
        for start, end, kind in loop_spans(post.gold, "BI"):
            known.setdefault(" ".join(word.lower() for word in post.tokens[start:end]), set()).add(kind)
    counts: dict[str, list[int]] = {}
    for post in posts:
        matched = None if post.theta is None or not post.has_image else post.theta > 0.5
        if (name == "matched" and matched is not True) or (name == "mismatched" and matched is not False):
            continue
        if name == "with_image" and not post.has_image:
            continue
        tags = post.gold
        if opening == "B" and post.tags is not None:
            tags = tuple(tag.replace("OTHER", "MISC") for tag in post.tags)
        sides = []
        for side in (tags, post.predicted):
            kept = []
            for start, end, kind in loop_spans(side, opening):
                types = known.get(" ".join(post.tokens[start:end]).lower(), set())
                if {"seen": types, "unseen": not types, "ambiguous": len(types) >= 2}.get(name, True):
                    kept.append((start, end, kind))
            sides.append(kept)
        gold, predicted = sides
        for one in predicted:
            counts.setdefault(one[2], [0, 0, 0])[0] += one in gold
            counts[one[2]][1] += 1
        for one in gold:
            counts.setdefault(one[2], [0, 0, 0])[2] += 1
    return counts


@pytest.mark.parametrize(("spans", "opening"), [(lenient, "BI"), (strict, "B")])
@given(posts=st.lists(judged(), max_size=5), train=st.lists(judged(), max_size=3))
def test_every_slice_against_a_loop(spans, opening, posts, train):
    reports = slice_reports(posts, surface_forms((post.tokens, post.gold) for post in train), spans)
    assert list(reports) == ["all", "matched", "mismatched", "with_image", "seen", "unseen", "ambiguous"]
    for name, report in reports.items():
        expected = loop(posts, train, name, opening)
        assert dict(report.types) == {kind: Counts(*counts) for kind, counts in expected.items()}
    assert reports["seen"].micro + reports["unseen"].micro == reports["all"].micro


def post(tokens: str, gold: str, predicted: str, **rest: object) -> ScoredPost:
    as_read = rest.pop("tags", None)
    return ScoredPost(
        id="p",
        tokens=tuple(tokens.split()),
        tags=None if as_read is None else tuple(str(as_read).split()),
        gold=tuple(gold.split()),
        predicted=tuple(predicted.split()),
        **{"theta": None, "has_image": False, **rest},
    )


def test_strict_reads_the_tags_as_they_were_read():
    orphan = post("St Louis x", "O B-MISC O", "O B-MISC O", tags="O I-OTHER O")
    assert strict(orphan) == ([], [Span(1, 2, "MISC")])
    assert lenient(orphan) == ([Span(1, 2, "MISC")], [Span(1, 2, "MISC")])
    assert strict(post("Rome", "B-OTHER", "O", tags="B-OTHER")) == ([Span(0, 1, "MISC")], [])


def test_how_many_posts_a_slice_has():
    posts = [
        post("a", "O", "O", theta=0.9, has_image=True),
        post("a", "O", "O", theta=0.5, has_image=True),
        post("a", "O", "O", theta=0.0),
        post("a", "O", "O", has_image=True),
    ]
    reports = slice_reports(posts, {})
    assert {name: report.posts for name, report in reports.items()} == {
        "all": 4,
        "matched": 1,
        "mismatched": 1,
        "with_image": 3,
        "seen": 4,
        "unseen": 4,
        "ambiguous": 4,
    }


def test_a_wrong_boundary_counts_on_both_sides():
    forms = surface_forms([(("New", "York"), ("B-LOC", "I-LOC")), (("new", "york"), ("B-ORG", "I-ORG"))])
    assert forms == {"new york": {"LOC", "ORG"}}
    reports = slice_reports([post("NEW York Times", "B-ORG I-ORG I-ORG", "B-LOC I-LOC O")], forms)
    assert reports["ambiguous"].types == reports["seen"].types == {"LOC": Counts(0, 1, 0)}
    assert reports["unseen"].types == {"ORG": Counts(0, 0, 1)}
    table = slice_lines(reports)
    assert len(table) == 8
    assert table[1].split() == ["all", "(1", "posts)", "0.00", "0.00", "0.00", "1", "1"]
