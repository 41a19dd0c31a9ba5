"""Test label names, and spans against seqeval's for every kind of tag sequence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Tokens

from amia.mner.spans import TYPES, Span, label_names, lenient_spans, rename_types, strict_spans

TAGS = ["O", *(f"{prefix}-{type_}" for prefix in "BI" for type_ in (*TYPES, "geo-loc", "O"))]
INVALID_TAGS = ["X", "[SEP]", "[CLS]", "PAD", "<pad>", "B", "I", "B-", "I-", "E-PER", "S-PER", "b-PER", "", "B-A B"]


def test_label_names():
    assert label_names(TYPES) == ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-MISC", "I-MISC"]
    assert label_names([]) == ["O"]


def test_rename_types_changes_only_the_type():
    tags = ["I-OTHER", "B-OTHER", "I-OTHER", "O", "I-PER", "B-OTHERS", "[SEP]", "B-geo-loc"]
    assert rename_types(tags) == ["I-MISC", "B-MISC", "I-MISC", "O", "I-PER", "B-OTHERS", "[SEP]", "B-geo-loc"]


def seqeval_lenient(tags: list[str]) -> list[Span]:
    return [Span(start, last + 1, type_) for type_, start, last in get_entities(tags)]


def seqeval_strict(tags: list[str]) -> list[Span]:
    return [Span(entity.start, entity.end, entity.tag) for entity in Tokens(tags, IOB2).entities]


@given(st.lists(st.sampled_from(TAGS), max_size=12))
def test_equals_seqeval(tags):
    assert lenient_spans(tags) == seqeval_lenient(tags)
    assert strict_spans(tags) == seqeval_strict(tags)


@given(st.lists(st.sampled_from([*TAGS, *INVALID_TAGS]), max_size=12))
def test_invalid_tag_is_read_as_o(tags):
    replaced = ["O" if tag in INVALID_TAGS else tag for tag in tags]
    assert lenient_spans(tags) == seqeval_lenient(replaced)
    assert strict_spans(tags) == seqeval_strict(replaced)


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
def test_known_sequences(tags, lenient, strict):
    assert lenient_spans(tags.split()) == [Span(*span) for span in lenient]
    assert strict_spans(tags.split()) == [Span(*span) for span in strict]
