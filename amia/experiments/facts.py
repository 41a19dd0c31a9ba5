"""What a table has to know of a data set beyond the results on it."""

from collections.abc import Mapping
from dataclasses import dataclass

from amia.experiments.needs import Negatives

__all__ = ["DataFacts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """How large a data set is, and with which models its cells were made."""

    posts: Mapping[str, int]
    """Of each split: `train`, `validation`, `test`."""
    text_encoder: str
    """Names of models, as the settings give them."""
    visual_encoder: str
    clip: str
    generator: str
    negatives: Negatives = "expected"
    """What the run's own theta was fitted against."""
