"""Marked text: the words of the pieces are the tokens, whatever is tagged, and what is shown is bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.spans import Span, lenient_spans
from amia.report.entity_markup import MAX_CHARACTERS, MAX_WORDS, TextPiece, mark_entities, plain, printable, shortened

TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-X"])
TAGGED = st.lists(st.tuples(st.text(min_size=1, max_size=8), TAGS), max_size=30)


@given(TAGGED)
def test_the_words_of_the_pieces_are_the_tokens(tagged: list[tuple[str, str]]) -> None:
    tokens, tags = [token for token, _ in tagged], [tag for _, tag in tagged]
    spans = lenient_spans(tags)
    pieces = mark_entities(tokens, spans)
    assert [word for piece in pieces for word in piece.words] == tokens
    found, at = [], 0
    for piece in pieces:
        if piece.type is not None:
            found.append(Span(at, at + len(piece.words), piece.type))
        at += len(piece.words)
    assert found == spans
    assert not [piece for piece in pieces if not piece.words]


def test_words_outside_entities_are_one_piece() -> None:
    pieces = mark_entities(["Blue", "skies", "over", "New", "York", "today"], [Span(3, 5, "LOC")])
    assert [(piece.text, piece.type) for piece in pieces] == [
        ("Blue skies over", None),
        ("New York", "LOC"),
        ("today", None),
    ]


@pytest.mark.parametrize("spans", [[Span(0, 2, "PER"), Span(1, 3, "PER")], [Span(2, 4, "PER")], [Span(1, 1, "PER")]])
def test_spans_that_overlap_or_leave_the_text_are_an_error(spans: list[Span]) -> None:
    with pytest.raises(ValueError, match="overlaps another, or leaves the 3 tokens"):
        mark_entities(["a", "b", "c"], spans)


@given(TAGGED)
def test_short_texts_are_shown_whole(tagged: list[tuple[str, str]]) -> None:
    pieces = mark_entities([printable(token) for token, _ in tagged], lenient_spans([tag for _, tag in tagged]))
    assert shortened(pieces) == pieces


@given(st.lists(st.integers(0, 400).map("x".__mul__), max_size=300))
def test_long_texts_end_in_an_ellipsis(tokens: list[str]) -> None:
    words = [word for piece in shortened([TextPiece(tuple(tokens), None)]) for word in piece.words]
    assert sum(map(len, words)) <= MAX_CHARACTERS + 2
    assert len(words) <= MAX_WORDS + 1
    if len(tokens) > MAX_WORDS or sum(map(len, tokens)) > MAX_CHARACTERS:
        assert words[-1].endswith("…")
    else:
        assert words == tokens


def test_one_word_of_a_million_characters_is_cut() -> None:
    (piece,) = shortened(plain("y" * 1_000_000))
    assert piece.text == "y" * MAX_CHARACTERS + "…"


def test_control_characters_become_spaces() -> None:
    assert printable("a\x00b\x1b[31m\x85c") == "a b [31m c"
    assert printable("naïve \N{FAMILY} 東京 \u202e") == "naïve \N{FAMILY} 東京 \u202e"


def test_an_empty_text_has_no_piece() -> None:
    assert plain("") == mark_entities([], []) == []
