"""BIO labels, and the entity spans they describe under the two ways that the field scores them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from amia.posts import RENAMED_TYPES

__all__ = ["TYPES", "LabeledSpan", "Span", "label_names", "lenient_spans", "rename_types", "strict_spans"]

TYPES = ("PER", "LOC", "ORG", "MISC")
"""The usual entity types. Further types of a corpus are numbered after these."""
LabeledSpan = tuple[int, Sequence[int]]
"""A span for a decoder: index of its first word, and the label id of each of its words."""

_TAG = re.compile(r"([BI])-(\S+)")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """An entity of type `type` over the words `start` to `end`, `end` exclusive."""

    start: int
    end: int
    type: str


def label_names(types: Sequence[str]) -> list[str]:
    """Return the BIO2 labels in the order of their ids: O, B-PER, I-PER, ..."""
    return ["O", *(f"{prefix}-{type_}" for type_ in types for prefix in "BI")]


def rename_types(tags: Sequence[str]) -> list[str]:
    """Replace a corpus's type names by the usual ones (OTHER -> MISC). Nothing else is repaired: orphan `I-` stay."""
    parts = (tag.partition("-") for tag in tags)
    return [f"{prefix}{hyphen}{RENAMED_TYPES.get(type_, type_)}" for prefix, hyphen, type_ in parts]


def lenient_spans(tags: Sequence[str]) -> list[Span]:
    """Extract spans as seqeval does by default (conlleval's chunks, the usual practice), in the order of the words.

    An `I-` that does not continue an entity of its type begins one: after O, at the start, after another type. A tag
    that is neither `B-TYPE` nor `I-TYPE` (such as X, [CLS], [SEP] and PAD of public systems) is read as O, while
    seqeval makes chunks of some of these.
    """
    return _extract_spans(tags, opening="BI")


def strict_spans(tags: Sequence[str]) -> list[Span]:
    """Extract spans as seqeval with `mode="strict", scheme=IOB2`: only `B-` begins an entity, orphan `I-` are ignored.

    Other tags are read as O, while seqeval rejects them or takes their first letter as a prefix.
    """
    return _extract_spans(tags, opening="B")


def _extract_spans(tags: Sequence[str], *, opening: str) -> list[Span]:
    spans: list[Span] = []
    start, open_type = 0, ""
    for index, tag in enumerate([*tags, "O"]):
        match = _TAG.fullmatch(tag)
        prefix, type_ = match.groups() if match else ("O", "")
        if open_type and not (prefix == "I" and type_ == open_type):
            spans.append(Span(start, index, open_type))
            open_type = ""
        if not open_type and prefix in opening:
            start, open_type = index, type_
    return spans
