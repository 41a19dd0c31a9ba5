"""What an export holds, in numbers: what its README and the command line tell."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from amia.report.attribution import Credit

__all__ = ["ArmSummary", "Summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """One arm."""

    posts: dict[str, int]
    """By split, those that are exported."""
    without_image: int
    """Of these, how many the arm has no picture of."""
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
class Summary:
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
    generator: Credit | None
    """What drew the images of those arms that show any drawn one."""
    arms: dict[str, ArmSummary]

    def to_json(self) -> dict[str, Any]:
        """As a plain tree."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> "Summary":
        """The way back. Raises TypeError or KeyError for any other tree."""
        arms = {arm: ArmSummary(**each) for arm, each in tree["arms"].items()}
        generator = tree["generator"] and Credit(**tree["generator"])
        return cls(**{**tree, "arms": arms, "generator": generator})
