"""Labeled posts as training and prediction take them, and as ids after tokenization."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["EncodedPost", "Example", "Feature", "Tokenizer", "encode_examples"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One post with at least one word."""

    id: str
    tokens: tuple[str, ...]
    labels: tuple[int, ...] | None = None
    """Label ids (positions in `label_names`), one per word."""
    image: bytes | None = None
    """Encoded image for the recognizer. None: no image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPost:
    """The words of one post as ids: of subwords, or of words and characters. The fields of the other kind are None."""

    id: str
    labels: tuple[int, ...] | None = None
    """One per word of the post, including words that were truncated."""
    input_ids: tuple[int, ...] | None = None
    """Subword ids with [CLS] and [SEP]."""
    first_subwords: tuple[int, ...] | None = None
    """Index of each word's first subword in `input_ids`. Shorter than the post if that exceeds the encoder's length."""
    word_ids: tuple[int, ...] | None = None
    char_ids: tuple[tuple[int, ...], ...] | None = None
    """Character ids of each word."""

    @property
    def length(self) -> int:
        """Number of subwords or words: the length that a batch is padded to."""
        return len(self.input_ids or self.word_ids or ())


@dataclass(frozen=True, slots=True)
class Feature:
    """An `Example` after tokenization."""

    encoded: EncodedPost
    image: bytes | None


class Tokenizer(Protocol):
    """Converts the words of a post to ids; saved with the weights."""

    pad_id: int
    """Id that pads `input_ids`."""

    def encode(self, id: str, tokens: Sequence[str], labels: Sequence[int] | None = None) -> EncodedPost:
        """Convert a post of at least one word."""
        ...

    def save(self, folder: Path) -> None:
        """Write the files that `load` of the same class reads."""
        ...


def encode_examples(examples: Sequence[Example], tokenizer: Tokenizer) -> list[Feature]:
    """Tokenize posts."""
    return [
        Feature(tokenizer.encode(example.id, example.tokens, example.labels), example.image) for example in examples
    ]
