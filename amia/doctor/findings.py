"""Result of a corpus scan."""

from collections import Counter
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from amia.doctor.duplicates import Duplicates

__all__ = ["EXAMPLES", "TINY", "CorpusReport", "Findings", "SplitCounts"]

TINY = 64
"""Pixels. An image with a shorter side than this shows little; CLIP takes 224."""

EXAMPLES = 3
"""Number of locations recorded for each finding."""

_MAX_REASONS = 50
"""Number of distinct reasons that are counted separately; the rest is counted together."""


@dataclass(slots=True)
class SplitCounts:
    """Contents of one split."""

    posts: int = 0
    labeled: int = 0
    tokens: int = 0
    without_entity: int = 0
    """Labeled posts whose tags are all O."""
    repaired: int = 0
    """Orphan `I-` tags that became `B-`."""
    entities: Counter[str] = field(default_factory=Counter)
    """Entities per type, of valid BIO2."""


@dataclass(slots=True)
class Findings:
    """Problems of one kind: their number, their reasons, and the first locations of each reason."""

    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> the first few locations."""

    def add(self, reason: str, location: str) -> None:
        """Add one problem at `location`."""
        if reason not in self.reasons and len(self.reasons) >= _MAX_REASONS:
            reason = "other reasons"
        self.count += 1
        self.reasons[reason] += 1
        locations = self.places.setdefault(reason, [])
        if len(locations) < EXAMPLES:
            locations.append(location)


@dataclass(slots=True, kw_only=True)
class CorpusReport:
    """Result of `scan_corpus`. Counts are posts unless stated otherwise."""

    source: str
    kind: str
    files: int
    bytes: int
    posts: int = 0
    splits: dict[str, SplitCounts] = field(default_factory=dict)
    images: int = 0
    """Images that can be decoded."""
    no_image: int = 0
    """Posts that name no image, or whose id has no image file."""
    broken: Findings = field(default_factory=Findings)
    """Images that are named but cannot be read, by the reason of `ImageError`."""
    tiny: Findings = field(default_factory=Findings)
    """Images that can be decoded, with a side under `TINY` pixels."""
    empty: Findings = field(default_factory=Findings)
    """Texts that have neither a letter nor a digit after cleaning. Their prompt is the raw text."""
    rejected: Findings = field(default_factory=Findings)
    """Rows that are not valid posts, by reason. They are not counted in `posts`."""
    ids: Duplicates | None = None
    """Ids that occur in several posts."""
    texts: Duplicates | None = None
    """Texts that occur in several posts, character by character."""
    places: dict[str, list[str]] = field(default_factory=dict)
    """A duplicate id or text (its first 60 characters) -> some of its locations."""

    @property
    def labeled(self) -> int:
        """Posts with tags."""
        return sum(split.labeled for split in self.splits.values())

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain dicts, lists, strings and numbers."""
        return {**_to_plain(self), "labeled": self.labeled}


def _to_plain(value: Any) -> Any:
    if is_dataclass(value):
        return {part.name: _to_plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, dict):
        return {key: _to_plain(item) for key, item in value.items()}
    return value
