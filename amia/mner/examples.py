"""A labelled post as training and evaluation take it."""

from collections.abc import Sequence
from dataclasses import dataclass

from amia.mner.encoded import Encoded, Reader

__all__ = ["Example", "Item", "encoded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One post with at least one word."""

    id: str
    tokens: tuple[str, ...]
    labels: tuple[int, ...] | None = None
    """Numbers of `label_names`, one a word."""
    image: bytes | None = None
    """What the recogniser is to see; None: nothing."""


@dataclass(frozen=True, slots=True)
class Item:
    """The same post, its words as numbers."""

    text: Encoded
    image: bytes | None


def encoded(examples: Sequence[Example], reader: Reader) -> list[Item]:
    """Each post's words as the reader's numbers."""
    return [Item(reader.encode(each.id, each.tokens, each.labels), each.image) for each in examples]
