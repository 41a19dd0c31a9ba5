"""Test the scores of each slice against plain loops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.evaluation import (
    ScoredPost,
    format_slices,
    lenient_span_pair,
    score_slices,
    strict_span_pair,
    surface_forms,
)
from amia.mner.metrics import SpanCounts
from amia.mner.spans import TYPES, Span, label_names
from amia.posts import to_bio2

LABELS = label_names(TYPES)
TAGS = [*LABELS, "B-OTHER", "I-OTHER"]
WORDS = ("Paris", "paris", "Ford", "of", "@x")


@st.composite
def scored_posts(draw: st.DrawFn) -> ScoredPost:
    tokens = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6))
    tags = [draw(st.sampled_from(TAGS)) for _ in tokens]
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


def spans_by_loop(tags: tuple[str, ...], opening: str) -> list[tuple[int, int, str]]:
    """Grow each span word by word."""
    spans, start = [], 0
    while start < len(tags):
        end = start + 1
        if tags[start][0] in opening:
            while end < len(tags) and tags[end] == f"I-{tags[start][2:]}":
                end += 1
            spans.append((start, end, tags[start][2:]))
        start = end
    return spans


def counts_by_loop(
    posts: list[ScoredPost], train: list[ScoredPost], slice_name: str, opening: str
) -> dict[str, list[int]]:
    """Return type -> true positives, predicted, gold."""
    known: dict[str, set[str]] = {}
    for post in train:
        for start, end, type_ in spans_by_loop(post.gold, "BI"):
            known.setdefault(" ".join(word.lower() for word in post.tokens[start:end]), set()).add(type_)
    counts: dict[str, list[int]] = {}
    for post in posts:
        matched = None if post.theta is None or not post.has_image else post.theta > 0.5
        if (slice_name == "matched" and matched is not True) or (slice_name == "mismatched" and matched is not False):
            continue
        if slice_name == "with_image" and not post.has_image:
            continue
        gold_tags = post.gold
        if opening == "B" and post.tags is not None:
            gold_tags = tuple(tag.replace("OTHER", "MISC") for tag in post.tags)
        selected = []
        for tags in (gold_tags, post.predicted):
            spans = []
            for start, end, type_ in spans_by_loop(tags, opening):
                types = known.get(" ".join(post.tokens[start:end]).lower(), set())
                if {"seen": types, "unseen": not types, "ambiguous": len(types) >= 2}.get(slice_name, True):
                    spans.append((start, end, type_))
            selected.append(spans)
        gold, predicted = selected
        for span in predicted:
            counts.setdefault(span[2], [0, 0, 0])[0] += span in gold
            counts[span[2]][1] += 1
        for span in gold:
            counts.setdefault(span[2], [0, 0, 0])[2] += 1
    return counts


@pytest.mark.parametrize(("extract_spans", "opening"), [(lenient_span_pair, "BI"), (strict_span_pair, "B")])
@given(posts=st.lists(scored_posts(), max_size=5), train=st.lists(scored_posts(), max_size=3))
def test_equals_a_loop(extract_spans, opening, posts, train):
    reports = score_slices(posts, surface_forms((post.tokens, post.gold) for post in train), extract_spans)
    assert list(reports) == ["all", "matched", "mismatched", "with_image", "seen", "unseen", "ambiguous"]
    for name, report in reports.items():
        expected = counts_by_loop(posts, train, name, opening)
        assert dict(report.types) == {type_: SpanCounts(*counts) for type_, counts in expected.items()}
    assert reports["seen"].micro + reports["unseen"].micro == reports["all"].micro


def make_post(tokens: str, gold: str, predicted: str, *, tags: str | None = None, **fields: object) -> ScoredPost:
    return ScoredPost(
        id="p",
        tokens=tuple(tokens.split()),
        tags=None if tags is None else tuple(tags.split()),
        gold=tuple(gold.split()),
        predicted=tuple(predicted.split()),
        **{"theta": None, "has_image": False, **fields},
    )


def test_strict_uses_the_tags_as_read():
    orphan = make_post("St Louis x", "O B-MISC O", "O B-MISC O", tags="O I-OTHER O")
    assert strict_span_pair(orphan) == ([], [Span(1, 2, "MISC")])
    assert lenient_span_pair(orphan) == ([Span(1, 2, "MISC")], [Span(1, 2, "MISC")])
    assert strict_span_pair(make_post("Rome", "B-OTHER", "O", tags="B-OTHER")) == ([Span(0, 1, "MISC")], [])


def test_number_of_posts_per_slice():
    posts = [
        make_post("a", "O", "O", theta=0.9, has_image=True),
        make_post("a", "O", "O", theta=0.5, has_image=True),
        make_post("a", "O", "O", theta=0.0),
        make_post("a", "O", "O", has_image=True),
    ]
    reports = score_slices(posts, {})
    assert {name: report.posts for name, report in reports.items()} == {
        "all": 4,
        "matched": 1,
        "mismatched": 1,
        "with_image": 3,
        "seen": 4,
        "unseen": 4,
        "ambiguous": 4,
    }


def test_wrong_boundary_counts_in_both_slices():
    forms = surface_forms([(("New", "York"), ("B-LOC", "I-LOC")), (("new", "york"), ("B-ORG", "I-ORG"))])
    assert forms == {"new york": {"LOC", "ORG"}}
    reports = score_slices([make_post("NEW York Times", "B-ORG I-ORG I-ORG", "B-LOC I-LOC O")], forms)
    assert reports["ambiguous"].types == reports["seen"].types == {"LOC": SpanCounts(0, 1, 0)}
    assert reports["unseen"].types == {"ORG": SpanCounts(0, 0, 1)}
    table = format_slices(reports)
    assert len(table) == 8
    assert table[1].split() == ["all", "(1", "posts)", "0.00", "0.00", "0.00", "1", "1"]
