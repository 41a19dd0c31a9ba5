"""Tests of marked text: pieces contain all tokens, and truncation bounds their length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.spans import Span, lenient_spans
from amia.report.entity_markup import (
    MAX_CHARS,
    MAX_WORDS,
    TextPiece,
    mark_entities,
    plain_text,
    to_printable,
    truncate_pieces,
)

TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-X"])
TAGGED = st.lists(st.tuples(st.text(min_size=1, max_size=8), TAGS), max_size=30)


@given(TAGGED)
def test_pieces_contain_all_tokens(tagged: list[tuple[str, str]]) -> None:
    tokens, tags = [token for token, _ in tagged], [tag for _, tag in tagged]
    spans = lenient_spans(tags)
    pieces = mark_entities(tokens, spans)
    assert [word for piece in pieces for word in piece.words] == tokens
    entities, position = [], 0
    for piece in pieces:
        if piece.type is not None:
            entities.append(Span(position, position + len(piece.words), piece.type))
        position += len(piece.words)
    assert entities == spans
    assert not [piece for piece in pieces if not piece.words]


def test_words_between_entities_form_one_piece() -> None:
    pieces = mark_entities(["Blue", "skies", "over", "New", "York", "today"], [Span(3, 5, "LOC")])
    assert [(piece.text, piece.type) for piece in pieces] == [
        ("Blue skies over", None),
        ("New York", "LOC"),
        ("today", None),
    ]


@pytest.mark.parametrize("spans", [[Span(0, 2, "PER"), Span(1, 3, "PER")], [Span(2, 4, "PER")], [Span(1, 1, "PER")]])
def test_rejects_overlapping_or_invalid_spans(spans: list[Span]) -> None:
    with pytest.raises(ValueError, match="overlaps another span, or exceeds the 3 tokens"):
        mark_entities(["a", "b", "c"], spans)


@given(TAGGED)
def test_short_texts_are_not_truncated(tagged: list[tuple[str, str]]) -> None:
    pieces = mark_entities([to_printable(token) for token, _ in tagged], lenient_spans([tag for _, tag in tagged]))
    assert truncate_pieces(pieces) == pieces


@given(st.lists(st.integers(0, 400).map("x".__mul__), max_size=300))
def test_long_texts_end_with_an_ellipsis(tokens: list[str]) -> None:
    words = [word for piece in truncate_pieces([TextPiece(tuple(tokens), None)]) for word in piece.words]
    assert sum(map(len, words)) <= MAX_CHARS + 2
    assert len(words) <= MAX_WORDS + 1
    if len(tokens) > MAX_WORDS or sum(map(len, tokens)) > MAX_CHARS:
        assert words[-1].endswith("…")
    else:
        assert words == tokens


def test_long_word_is_truncated() -> None:
    (piece,) = truncate_pieces(plain_text("y" * 1_000_000))
    assert piece.text == "y" * MAX_CHARS + "…"


def test_control_characters_become_spaces() -> None:
    assert to_printable("a\x00b\x1b[31m\x85c") == "a b [31m c"
    assert to_printable("naïve \N{FAMILY} 東京 \u202e") == "naïve \N{FAMILY} 東京 \u202e"


def test_empty_text_has_no_pieces() -> None:
    assert plain_text("") == mark_entities([], []) == []
