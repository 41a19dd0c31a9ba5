"""Entities as spans of words, read off BIO tags in the two ways that the field scores them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from amia.posts import RENAMED_TYPES

__all__ = ["TYPES", "LabeledSpan", "Span", "label_names", "lenient_spans", "renamed_types", "strict_spans"]

# MERGED FROM amia.mner.spans: The names of BIO2 labels, in the order of their numbers.
LabeledSpan = tuple[int, Sequence[int]]
"""A span for a decoder: its first word, and the number of the label at each of its words."""

_TAG = re.compile(r"([BI])-(\S+)")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Words `start` to `end`, the end exclusive, are an entity of `type`."""

    start: int
    end: int
    type: str


def lenient_spans(tags: Sequence[str]) -> list[Span]:
    """What seqeval counts by default (conlleval's chunks, the field's practice), in the order of the words.

    An `I-` that does not go on an entity of its own type opens one: after O, at the start, after another type. Whatever
    is neither `B-TYPE` nor `I-TYPE` (the X, [CLS], [SEP] and PAD of public systems among them) is read as O, while
    seqeval makes chunks of some of these.
    """
    return _spans(tags, opening="BI")


def strict_spans(tags: Sequence[str]) -> list[Span]:
    """What seqeval counts with `mode="strict", scheme=IOB2`: only `B-` opens an entity, an orphan `I-` is in none.

    Stray labels are read as O, where seqeval refuses them or takes their first letter for a prefix.
    """
    return _spans(tags, opening="B")


def _spans(tags: Sequence[str], *, opening: str) -> list[Span]:
    spans: list[Span] = []
    start, inside = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        found = _TAG.fullmatch(tag)
        prefix, kind = found.groups() if found else ("O", "")
        if inside and not (prefix == "I" and kind == inside):
            spans.append(Span(start, place, inside))
            inside = ""
        if not inside and prefix in opening:
            start, inside = place, kind
    return spans


TYPES = ("PER", "LOC", "ORG", "MISC")
"""The field's entity types: a corpus that has others numbers them after these."""


def label_names(types: Sequence[str]) -> list[str]:
    """BIO2 labels in the order of their numbers: O, B-PER, I-PER, ..."""
    return ["O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI")]


def renamed_types(tags: Sequence[str]) -> list[str]:
    """Tags as read with the field's names of types (OTHER = MISC) and nothing else repaired: orphan `I-` stay."""
    parts = (tag.partition("-") for tag in tags)
    return [f"{prefix}{hyphen}{RENAMED_TYPES.get(kind, kind)}" for prefix, hyphen, kind in parts]
