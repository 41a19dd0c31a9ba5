"""Spans against seqeval's own, for every kind of sequence that a tagger can write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Tokens

from amia.mner.spans import TYPES, Span, lenient_spans, strict_spans

TAGS = ["O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in (*TYPES, "geo-loc", "O"))]
STRAY = ["X", "[SEP]", "[CLS]", "PAD", "<pad>", "B", "I", "B-", "I-", "E-PER", "S-PER", "b-PER", "", "B-A B"]
sequences = st.lists(st.sampled_from(TAGS), max_size=12)


def seqeval_lenient(tags: list[str]) -> list[Span]:
    return [Span(start, last + 1, kind) for kind, start, last in get_entities(tags)]


def seqeval_strict(tags: list[str]) -> list[Span]:
    return [Span(one.start, one.end, one.tag) for one in Tokens(tags, IOB2).entities]


@given(sequences)
def test_as_seqeval_counts(tags):
    assert lenient_spans(tags) == seqeval_lenient(tags)
    assert strict_spans(tags) == seqeval_strict(tags)


@given(st.lists(st.sampled_from([*TAGS, *STRAY]), max_size=12))
def test_a_stray_label_is_o(tags):
    without = ["O" if tag in STRAY else tag for tag in tags]
    assert lenient_spans(tags) == seqeval_lenient(without)
    assert strict_spans(tags) == seqeval_strict(without)


@pytest.mark.parametrize(
    ("tags", "lenient", "strict"),
    [
        ("", [], []),
        ("I-PER", [(0, 1, "PER")], []),
        ("O I-PER I-PER", [(1, 3, "PER")], []),
        ("B-PER I-LOC I-LOC", [(0, 1, "PER"), (1, 3, "LOC")], [(0, 1, "PER")]),
        ("B-PER I-LOC I-PER", [(0, 1, "PER"), (1, 2, "LOC"), (2, 3, "PER")], [(0, 1, "PER")]),
        ("B-PER B-PER I-PER", [(0, 1, "PER"), (1, 3, "PER")], [(0, 1, "PER"), (1, 3, "PER")]),
        ("B-PER X I-PER", [(0, 1, "PER"), (2, 3, "PER")], [(0, 1, "PER")]),
    ],
)
def test_by_hand(tags, lenient, strict):
    assert lenient_spans(tags.split()) == [Span(*one) for one in lenient]
    assert strict_spans(tags.split()) == [Span(*one) for one in strict]
