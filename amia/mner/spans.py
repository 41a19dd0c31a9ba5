"""Entities as spans of words, read off BIO tags in the two ways that the field scores them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["LabelledSpan", "Span", "lenient_spans", "strict_spans"]

LabelledSpan = tuple[int, Sequence[int]]
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
