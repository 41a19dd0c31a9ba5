"""A post's words with its entities marked: pieces of text, each with a type or without."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from amia.mner.spans import Span

__all__ = ["MAX_CHARACTERS", "MAX_WORDS", "TextPiece", "mark_entities", "plain", "shortened"]

MAX_WORDS = 120
"""Words of one post that are shown; a tweet has at most half as many."""
MAX_CHARACTERS = 700


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Consecutive words that are one entity, or in none."""

    words: tuple[str, ...]
    type: str | None

    @property
    def text(self) -> str:
        """The words as they are shown."""
        return " ".join(self.words)


def mark_entities(tokens: Sequence[str], spans: Sequence[Span]) -> list[TextPiece]:
    """Tokens cut at the ends of `spans`, which rise and do not overlap; all words of the pieces are the tokens.

    Raises ValueError for spans that overlap or leave the tokens.
    """
    pieces: list[TextPiece] = []
    at = 0
    for span in spans:
        if not at <= span.start < span.end <= len(tokens):
            raise ValueError(f"span {span.start}-{span.end} overlaps another, or leaves the {len(tokens)} tokens")
        if span.start > at:
            pieces.append(TextPiece(tuple(tokens[at : span.start]), None))
        pieces.append(TextPiece(tuple(tokens[span.start : span.end]), span.type))
        at = span.end
    if at < len(tokens):
        pieces.append(TextPiece(tuple(tokens[at:]), None))
    return pieces


def plain(text: str) -> list[TextPiece]:
    """A text without tags, as one piece."""
    return [TextPiece((text,), None)] if text else []


def shortened(pieces: Sequence[TextPiece]) -> list[TextPiece]:
    """The same pieces for a page: without control characters, at most MAX_WORDS words and MAX_CHARACTERS characters.

    What is left out is said by an ellipsis.
    """
    kept: list[TextPiece] = []
    words = characters = 0
    for piece in pieces:
        some: list[str] = []
        for word in piece.words:
            room = MAX_CHARACTERS - characters
            if words == MAX_WORDS or room <= 0:
                kept += [TextPiece(tuple(some), piece.type)] if some else []
                return [*kept, TextPiece(("…",), None)]
            shown = printable(word)
            some.append(shown if len(shown) <= room else f"{shown[:room]}…")
            words, characters = words + 1, characters + len(shown)
        kept.append(TextPiece(tuple(some), piece.type))
    return kept


def printable(text: str) -> str:
    """The text with each control character, lone surrogate and unassigned character as a space."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if unicodedata.category(each) in {"Cc", "Cs", "Cn"} else each for each in text)
