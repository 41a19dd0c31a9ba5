"""The names of BIO2 labels, in the order of their numbers."""

from collections.abc import Sequence

from amia.posts import RENAMED_TYPES

__all__ = ["TYPES", "label_names", "renamed_types"]

TYPES = ("PER", "LOC", "ORG", "MISC")
"""The field's entity types: a corpus that has others numbers them after these."""


def label_names(types: Sequence[str]) -> list[str]:
    """BIO2 labels in the order of their numbers: O, B-PER, I-PER, ..."""
    return ["O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI")]


def renamed_types(tags: Sequence[str]) -> list[str]:
    """Tags as read with the field's names of types (OTHER = MISC) and nothing else repaired: orphan `I-` stay."""
    parts = (tag.partition("-") for tag in tags)
    return [f"{prefix}{hyphen}{RENAMED_TYPES.get(kind, kind)}" for prefix, hyphen, kind in parts]
