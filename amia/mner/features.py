"""One post as the numbers that a recognizer reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["EncodedPost", "Example", "Feature", "Tokenizer", "encode_example"]


# MERGED FROM amia.mner.features: A labeled post as training and evaluation take it.
@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPost:
    """What one family of systems reads of a post; the other family's members are None."""

    id: str
    labels: tuple[int, ...] | None = None
    """One a word of the post; the model reads as many as it has words for."""
    pieces: tuple[int, ...] | None = None
    """Word pieces, with [CLS] and [SEP]."""
    first: tuple[int, ...] | None = None
    """The place of each word's first piece in `pieces`. Shorter than the post where that exceeds the encoder."""
    words: tuple[int, ...] | None = None
    """Numbers of a vocabulary."""
    chars: tuple[tuple[int, ...], ...] | None = None
    """Numbers of each word's characters."""

    @property
    def length(self) -> int:
        """What a batch is padded by: pieces, or words."""
        return len(self.pieces or self.words or ())


class Tokenizer(Protocol):
    """Turns the words of posts into numbers; saved beside the weights."""

    pad: int
    """The number that pads pieces."""

    def encode(self, id: str, tokens: Sequence[str], labels: Sequence[int] | None = None) -> EncodedPost:
        """A post's words as numbers; at least one word."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `load` of the same class reads."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One post with at least one word."""

    id: str
    tokens: tuple[str, ...]
    labels: tuple[int, ...] | None = None
    """Numbers of `label_names`, one a word."""
    image: bytes | None = None
    """What the recognizer is to see; None: nothing."""


@dataclass(frozen=True, slots=True)
class Feature:
    """The same post, its words as numbers."""

    text: EncodedPost
    image: bytes | None


def encode_example(examples: Sequence[Example], reader: Tokenizer) -> list[Feature]:
    """Each post's words as the reader's numbers."""
    return [Feature(reader.encode(each.id, each.tokens, each.labels), each.image) for each in examples]
