"""Ways to compare texts with images, and where each stands in the run.

A run has one of its own. Two control arms name another, so that the paper's batches of negatives and the expectation
over them can be held against each other on the same posts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from amia.matching.triplet import TripletSettings

__all__ = ["ScoreVariant", "group_by_variant", "variant_of"]


@dataclass(frozen=True, slots=True)
class ScoreVariant:
    """One way to compare."""

    triplet: TripletSettings
    suffix: str
    """Of its folders: none for the run's own way, `-batch` or `-expected` for that of a control arm."""

    @property
    def scores(self) -> str:
        """Folder of the losses."""
        return f"scores{self.suffix}"

    @property
    def mixture(self) -> str:
        """Folder of bank and mixture."""
        return f"mixture{self.suffix}"


def variant_of(arm: str, triplet: TripletSettings) -> ScoreVariant:
    """The measure that an arm's theta comes from; `adaptive-batch` and `adaptive-expected` name theirs."""
    negatives = {"adaptive-batch": "batch", "adaptive-expected": "expected"}.get(arm, triplet.negatives)
    if negatives == triplet.negatives:
        return ScoreVariant(triplet, "")
    return ScoreVariant(triplet.model_copy(update={"negatives": negatives}), f"-{negatives}")


def group_by_variant(arms: Sequence[str], triplet: TripletSettings) -> list[tuple[ScoreVariant, list[str]]]:
    """Each measure that arms ask for with its arms, each arm once; the run's own comes first."""
    groups: dict[str, list[str]] = {}
    for arm in dict.fromkeys(arms):
        groups.setdefault(variant_of(arm, triplet).suffix, []).append(arm)
    return [(variant_of(groups[suffix][0], triplet), groups[suffix]) for suffix in sorted(groups)]
