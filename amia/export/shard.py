"""What a layout makes of one shard of an arm."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from amia.report.attribution import Attribution

__all__ = ["ArmSummary", "ExportSummary", "ShardFiles"]


# MERGED FROM amia.export.shard: What an export holds, in numbers: what its README and the command line tell.
@dataclass(slots=True, kw_only=True)
class ShardFiles:
    """The files of one shard, and what the whole export must know of it."""

    files: dict[str, bytes] = field(default_factory=dict)
    """By name within the arm's folder."""
    text: str = ""
    """Its part of the split's text file, where the layout has one."""
    posts: int = 0
    """Those that are exported."""
    untagged: int = 0
    """Posts that are left out, because the layout has no place for a post without tags."""
    altered: int = 0
    """Tokens that the layout could not hold as they are."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Ids that are no file names -> the names they got."""
    without_image: list[str] = field(default_factory=list)
    """Names of the exported posts of which the arm has no image."""

    def summary(self) -> dict[str, Any]:
        """Everything as JSON takes it; of each file its SHA-256."""
        about = {**asdict(self), "files": {}}
        about["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        return about


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """One arm."""

    posts: dict[str, int]
    """By split, those that are exported."""
    without_image: int
    """Of these, how many the arm has no image of."""
    untagged: int
    """Posts that were left out for want of tags."""
    altered: int
    """Tokens that were changed to fit the layout."""
    renamed: int
    """Posts whose id is no file name."""

    @property
    def total(self) -> int:
        """Posts in all splits."""
        return sum(self.posts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSummary:
    """The whole of an export."""

    layout: str
    size: int
    """Pixels a side of every image."""
    quality: int
    """Their JPEG quality."""
    unchanged: bool
    """Whether images are the run's own bytes."""
    folder: str | None
    """Name of the image folders, where the layout has them."""
    types: list[str]
    """Entity types of the corpus."""
    demo: bool
    """Whether demo weights scored or drew anything."""
    generator: Attribution | None
    """What drew the images of those arms that show any drawn one."""
    arms: dict[str, ArmSummary]

    def to_json(self) -> dict[str, Any]:
        """As a plain tree."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> "ExportSummary":
        """The way back. Raises TypeError or KeyError for any other tree."""
        arms = {arm: ArmSummary(**each) for arm, each in tree["arms"].items()}
        generator = tree["generator"] and Attribution(**tree["generator"])
        return cls(**{**tree, "arms": arms, "generator": generator})
