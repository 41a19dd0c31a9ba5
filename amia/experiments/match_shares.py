"""How many images match their texts, as a corpus shows it without any training: shares of posts with a theta above 0.5.

One share is that of the posts' own images. The other is that of the images synthesized from the texts. Unknown names
may lower both, so the two tell mismatched images from unknown names only in part (see `map_lookup`).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["MatchShares", "Share", "sum_shares"]

_Z = 1.959963984540054
"""The 97.5 percentile of the standard normal distribution."""


class Share(BaseModel):
    """Number of matching images among the images that were compared with their texts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    matched: int = Field(ge=0)
    """Images with a theta (eq. 8) above 0.5."""
    total: int = Field(ge=0)

    @model_validator(mode="after")
    def _check_counts(self) -> "Share":
        if self.matched > self.total:
            raise ValueError(f"{self.matched} of {self.total} images match")
        return self

    @property
    def value(self) -> float:
        """The share in [0, 1]; nan without images."""
        return self.matched / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share by Wilson's score method (Wilson 1927), in [0, 1].

        It covers the choice of posts, not the errors of theta. Without images it is [0, 1].
        """
        if not self.total:
            return 0.0, 1.0
        weight = _Z**2 / self.total
        center = (self.value + weight / 2) / (1 + weight)
        half = math.sqrt(weight * self.value * (1 - self.value) + weight**2 / 4) / (1 + weight)
        # At shares of 0 and 1 one end is the share itself, which rounding must not pass.
        return max(0.0, min(self.value, center - half)), min(1.0, max(self.value, center + half))


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchShares:
    """Shares of matching images among some posts."""

    original: Share
    """The posts' own images."""
    synthesized: Share | None
    """The images synthesized from the texts (theta_V); None if they were not compared with the texts."""


def sum_shares(parts: Iterable[MatchShares]) -> MatchShares:
    """Return the shares over all parts; that of the synthesized images is None unless every part has one."""
    parts = list(parts)
    synthesized = [part.synthesized for part in parts if part.synthesized is not None]
    return MatchShares(
        original=_sum(part.original for part in parts),
        synthesized=_sum(synthesized) if len(synthesized) == len(parts) else None,
    )


def _sum(shares: Iterable[Share]) -> Share:
    shares = list(shares)
    return Share(matched=sum(share.matched for share in shares), total=sum(share.total for share in shares))
