"""Text of a post with marked entities: pieces of consecutive words, each with an entity type or None."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from amia.mner.spans import Span

__all__ = ["MAX_CHARS", "MAX_WORDS", "TextPiece", "mark_entities", "plain_text", "to_printable", "truncate_pieces"]

MAX_WORDS = 120
"""Maximum number of words shown of one post, at least twice the length of any tweet."""
MAX_CHARS = 700


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Consecutive words that form one entity, or that are outside of entities."""

    words: tuple[str, ...]
    type: str | None
    """Entity type; None outside of entities."""

    @property
    def text(self) -> str:
        """The words, joined by spaces."""
        return " ".join(self.words)


def mark_entities(tokens: Sequence[str], spans: Sequence[Span]) -> list[TextPiece]:
    """Split tokens into pieces at the boundaries of `spans`, which must be sorted.

    Raises ValueError for spans that overlap or exceed the tokens.
    """
    pieces: list[TextPiece] = []
    position = 0
    for span in spans:
        if not position <= span.start < span.end <= len(tokens):
            raise ValueError(f"span {span.start}-{span.end} overlaps another span, or exceeds the {len(tokens)} tokens")
        if span.start > position:
            pieces.append(TextPiece(tuple(tokens[position : span.start]), None))
        pieces.append(TextPiece(tuple(tokens[span.start : span.end]), span.type))
        position = span.end
    if position < len(tokens):
        pieces.append(TextPiece(tuple(tokens[position:]), None))
    return pieces


def plain_text(text: str) -> list[TextPiece]:
    """Return a text without entities as one piece."""
    return [TextPiece((text,), None)] if text else []


def truncate_pieces(pieces: Sequence[TextPiece]) -> list[TextPiece]:
    """Replace control characters, and truncate to MAX_WORDS words and MAX_CHARS characters.

    An ellipsis marks omitted text.
    """
    kept: list[TextPiece] = []
    num_words = num_chars = 0
    for piece in pieces:
        words: list[str] = []
        for word in piece.words:
            remaining = MAX_CHARS - num_chars
            if num_words == MAX_WORDS or remaining <= 0:
                kept += [TextPiece(tuple(words), piece.type)] if words else []
                return [*kept, TextPiece(("…",), None)]
            printable = to_printable(word)
            words.append(printable if len(printable) <= remaining else f"{printable[:remaining]}…")
            num_words, num_chars = num_words + 1, num_chars + len(printable)
        kept.append(TextPiece(tuple(words), piece.type))
    return kept


def to_printable(text: str) -> str:
    """Replace each control character, lone surrogate and unassigned character by a space."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if unicodedata.category(char) in {"Cc", "Cs", "Cn"} else char for char in text)
