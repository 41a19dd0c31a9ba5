"""Shares of the demo world: what its posts mention, what its images show, and the presets of its corpora."""

from dataclasses import dataclass, field

from amia.demo.names import KINDS, Kind
from amia.demo.rare_names import TWINS_PER_KIND

__all__ = ["MECHANISM", "PRESETS", "PRETRAINING", "REALISTIC", "CorpusShares", "PostShares"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostShares:
    """Shares of what posts mention and what matching images show, each in [0, 1]. Defaults: those of real corpora."""

    neutral: float = 0.5
    """Posts whose sentence does not reveal the types of its entities."""
    rare: float = 0.64
    """Mentions of rare names."""
    ambiguous: float = 0.08
    """Mentions of ambiguous names. All others are famous."""
    kinds: dict[Kind, float] = field(default_factory=lambda: {"PER": 0.40, "LOC": 0.25, "ORG": 0.21, "MISC": 0.14})
    """Types of the mentions."""
    entities: tuple[float, float, float] = (0.5, 0.32, 0.18)
    """Posts with one, two and three entities."""
    same_kind: float = 0.42
    """Probability that a further entity repeats the type of the first one. Others may repeat it by chance."""
    visible: dict[Kind, float] = field(default_factory=lambda: {"PER": 0.65, "LOC": 0.09, "ORG": 0.22, "MISC": 0.24})
    """Probability that the image of a post shows an entity of this type. A matching image shows at least one entity."""
    visible_ambiguous: float = 0.5
    """Factor of that probability for ambiguous names."""
    words: float = 14.0
    """Average number of words of a post."""


PRETRAINING = PostShares(
    rare=0.66,
    ambiguous=0.14,
    kinds={kind: count / sum(TWINS_PER_KIND.values()) for kind, count in TWINS_PER_KIND.items()},
    visible={"PER": 0.95, "LOC": 0.5, "ORG": 0.75, "MISC": 0.75},
    visible_ambiguous=1.0,
)
"""Shares of the posts that train CLIP and generator. Their images show more than those of a corpus, so that fewer
posts teach the looks of all names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusShares:
    """What a corpus is like, apart from its size, its share of known names and its share of mismatched images."""

    posts: PostShares = PostShares()
    new: float = 0.8
    """Probability that a rare mention of the training split is the first one of its name, while there are new names."""
    frequent: float = 0.125
    """Share of the rare names of the training split that may return in it."""
    seen_templates: float = 0.65
    """Posts of the other splits whose template occurs in the training split, too."""
    unseen: float = 0.68
    """Probability that a rare mention of another split has a name that the training split lacks."""
    other_kinds: float | None = None
    """Share of mismatched images that show other types than the post mentions. None: as chance has it."""


REALISTIC = CorpusShares()
"""Shares of real corpora of tweets."""
MECHANISM = CorpusShares(
    posts=PostShares(
        neutral=1.0,
        rare=0.5,
        ambiguous=0.4,
        kinds=dict.fromkeys(KINDS, 0.25),
        visible=dict.fromkeys(KINDS, 1.0),
        visible_ambiguous=1.0,
    ),
    unseen=1.0,
    other_kinds=1.0,
)
"""Balanced slices, to see how the method works: the sentence reveals no type, ambiguous names are settled by the post's
image alone, unseen names by the generator's knowledge, and mismatched images show other types. Its figures are no
expected gains."""
PRESETS = {"realistic": REALISTIC, "mechanism": MECHANISM}
