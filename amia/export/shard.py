"""Files of one exported shard, and the summary of an export."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from amia.report.attribution import Attribution

__all__ = ["ArmSummary", "ExportSummary", "ShardFiles"]


@dataclass(slots=True, kw_only=True)
class ShardFiles:
    """The files of one shard, and what the export needs to know of it."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Contents by name within the arm's folder."""
    text: str = ""
    """The shard's part of the split's text file, if the layout has one."""
    posts: int = 0
    """Number of exported posts."""
    untagged: int = 0
    """Number of posts that are left out, because the layout cannot represent a post without tags."""
    altered: int = 0
    """Number of tokens that were changed to fit the layout."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Ids that are not valid file names -> their names in the export."""
    without_image: list[str] = field(default_factory=list)
    """Names of exported posts without an image in the arm."""

    def summary(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values, with the SHA-256 of each file in place of its contents."""
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        return {**asdict(self), "files": hashes}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """Counts of one exported arm."""

    posts: dict[str, int]
    """Number of exported posts by split."""
    without_image: int
    """Number of exported posts without an image."""
    untagged: int
    """Number of posts that were left out because they have no tags."""
    altered: int
    """Number of tokens that were changed to fit the layout."""
    renamed: int
    """Number of posts whose id is not a valid file name."""

    @property
    def total(self) -> int:
        """Number of exported posts in all splits."""
        return sum(self.posts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSummary:
    """Summary of an export, for its README and the command line."""

    layout: str
    size: int
    """Pixels a side of every image."""
    quality: int
    """JPEG quality of the images."""
    unchanged: bool
    """Whether the bytes of the images are those of the run."""
    folder: str | None
    """Name of the image folders, if the layout has them."""
    types: list[str]
    """Entity types of the corpus."""
    demo: bool
    """Whether demo weights scored posts or generated images."""
    generator: Attribution | None
    """The generator, if any arm shows synthesized images."""
    arms: dict[str, ArmSummary]

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> "ExportSummary":
        """Restore what `to_json` returned. Raises TypeError or KeyError for any other data."""
        arms = {arm: ArmSummary(**counts) for arm, counts in tree["arms"].items()}
        generator = tree["generator"] and Attribution(**tree["generator"])
        return cls(**{**tree, "arms": arms, "generator": generator})
