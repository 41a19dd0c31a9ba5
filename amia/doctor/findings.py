"""What a look at a corpus found."""

from collections import Counter
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from amia.doctor.duplicates import Duplicates

__all__ = ["EXAMPLES", "TINY", "CorpusReport", "Findings", "SplitCounts"]

TINY = 64
"""Pixels. An image with a shorter side than this shows little; CLIP reads 224."""

EXAMPLES = 3
"""Places that are named for each finding."""

_KINDS = 50
"""Different reasons that are told apart; the rest is counted together."""


@dataclass(slots=True)
class SplitCounts:
    """What one split holds."""

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
    """Something that happened to some posts: how often, by what, and where it happened first."""

    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> the first few places."""

    def add(self, reason: str, where: str) -> None:
        """One more, at `where`."""
        if reason not in self.reasons and len(self.reasons) >= _KINDS:
            reason = "other reasons"
        self.count += 1
        self.reasons[reason] += 1
        places = self.places.setdefault(reason, [])
        if len(places) < EXAMPLES:
            places.append(where)


@dataclass(slots=True, kw_only=True)
class CorpusReport:
    """What `examine` found. Counts are posts unless they say otherwise."""

    source: str
    kind: str
    files: int
    bytes: int
    posts: int = 0
    splits: dict[str, SplitCounts] = field(default_factory=dict)
    images: int = 0
    """Images that decode."""
    no_image: int = 0
    """Posts that name no image, or whose id has none."""
    broken: Findings = field(default_factory=Findings)
    """Images that are named but cannot be had, by the reason of `ImageError`."""
    tiny: Findings = field(default_factory=Findings)
    """Images that decode, with a side under `TINY` pixels."""
    empty: Findings = field(default_factory=Findings)
    """Texts of which cleaning leaves neither a letter nor a digit: the prompt is then the raw text."""
    rejected: Findings = field(default_factory=Findings)
    """What is no post, by reason; not counted in `posts`."""
    ids: Duplicates | None = None
    texts: Duplicates | None = None
    """The same text, character by character, in several posts."""
    places: dict[str, list[str]] = field(default_factory=dict)
    """A duplicate id or text (its first 60 characters) -> some of the places where it stands."""

    @property
    def labeled(self) -> int:
        """Posts with tags."""
        return sum(split.labeled for split in self.splits.values())

    def to_json(self) -> dict[str, Any]:
        """The same as plain dicts, lists, strings and numbers."""
        return {**_plain(self), "labeled": self.labeled}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
