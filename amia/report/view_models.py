"""Content of a report as plain data: all counts and selections are made before rendering."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from amia.experiments.outlook import Outlook
from amia.experiments.when_map import WhenMap
from amia.report.attribution import Attribution
from amia.report.entity_markup import TextPiece
from amia.report.experiment_tables import ExperimentTables
from amia.report.loss_figure import LossFigure

__all__ = [
    "Accounting",
    "Breakdown",
    "Check",
    "Disagreement",
    "Disagreements",
    "EntityOutcome",
    "FailureExample",
    "FailureGroup",
    "ImageGroup",
    "ImageTriple",
    "PairCounts",
    "ReportContent",
    "StageTimes",
    "ThetaHistogram",
    "TrainingCurve",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """All posts by the value of one property."""

    title: str
    parts: Mapping[str, int]
    """Posts by description of the value, most important first."""

    @property
    def total(self) -> int:
        """Posts in all parts."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Two counts that must be equal."""

    description: str
    expected: int
    actual: int

    @property
    def passed(self) -> bool:
        """Whether the counts are equal."""
        return self.expected == self.actual


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """All posts by status."""

    posts: int
    usable: int
    """Posts with a valid image."""
    augmented: int
    """Posts with an image in this arm."""
    breakdowns: Sequence[Breakdown]
    checks: Sequence[Check]
    rejected: int
    """Rows of the source that are not valid posts."""
    removed: int = 0
    """Posts that were removed after they had been ingested, and are not among `posts`."""
    labeled: int
    models: Sequence[Attribution]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThetaHistogram:
    """Distribution of theta over the posts of one split that have an image, their own or a synthesized one."""

    split: str
    counts: Sequence[int]
    """Posts in equal bins from 0 to 1; a theta of 1 is in the last bin."""
    matched: int
    """Posts with theta above 0.5."""

    @property
    def total(self) -> int:
        """Posts in all bins."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTriple:
    """One post with its three images as WebP; None for a missing image."""

    id: str
    split: str
    pieces: Sequence[TextPiece]
    original: bytes | None
    synthesized: bytes | None
    augmented: bytes | None
    theta: float | None
    theta_synthesized: float | None = None
    """Theta of the synthesized image; None if the arm does not use it."""
    ratio: float | None
    loss: float | None
    cosine: float | None
    notes: Sequence[str] = ()
    """Remarks such as `without an image` or `lowest theta`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGroup:
    """Posts shown under one heading, usually a tenth of theta."""

    title: str
    posts: int
    """Number of such posts in the run."""
    triples: Sequence[ImageTriple]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureExample:
    """One post, or row of the source, that failed."""

    location: str
    """Split of a post, or location of a row in the source."""
    id: str
    text: str
    image: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """All failures with the same reason."""

    reason: str
    count: int
    examples: Sequence[FailureExample]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """Timing of one stage from the log. Seconds are sums over actors."""

    stage: str
    posts: int
    shards: int
    load_s: float
    run_s: float
    publish_s: float
    wall_s: float
    """Time from the start of the first shard to the end of the last one, summed over executions."""
    actors: int
    """Number of processes."""
    hosts: int
    gpus: int
    """Number of GPUs of all hosts that were assigned to actors."""

    @property
    def actor_rate(self) -> float | None:
        """Posts per second of one actor while it runs; None if no time was measured."""
        return self.posts / self.run_s if self.run_s > 0 else None

    @property
    def total_rate(self) -> float | None:
        """Posts per second of all actors together."""
        return self.posts / self.wall_s if self.wall_s > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCurve:
    """Validation F1 of one training."""

    name: str
    system: str
    arm: str
    seed: int
    f1: Sequence[float]
    """After each epoch, in [0, 1]."""

    @property
    def best(self) -> float:
        """F1 of the best epoch, which was kept."""
        return max(self.f1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityOutcome:
    """One entity that a recognizer predicted or missed."""

    text: str
    type: str
    outcome: str
    """`right`, `wrong` or `missed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A labeled post for which two recognizers predict different entities."""

    id: str
    recognizer: str
    """System and seed of both recognizers."""
    kind: str
    """`better`: only the recognizer trained on augmented images is right; `worse`: only the other one is."""
    pieces: Sequence[TextPiece]
    original: bytes | None
    augmented: bytes | None
    theta: float | None
    original_entities: Sequence[EntityOutcome]
    """Entities of the recognizer trained on original images."""
    augmented_entities: Sequence[EntityOutcome]
    """Entities of the recognizer trained on augmented images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCounts:
    """Labeled test posts by the outcomes of two trainings that differ only in their arm."""

    recognizer: str
    posts: int
    """Posts with predictions of both."""
    better: int
    """Right on augmented images only."""
    worse: int
    """Right on original images only."""
    both_wrong: int
    """Wrong in different ways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreements:
    """Comparison of recognizers trained on original images with those trained on an arm."""

    arm: str
    pairs: Sequence[PairCounts]
    examples: Sequence[Disagreement]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """Content of a report. Empty sections are left out of the page."""

    run: str
    """Address of the run."""
    arm: str
    notices: Sequence[str]
    """Warnings at the top of the page."""
    accounting: Accounting
    losses: Sequence[LossFigure] = ()
    thetas: Sequence[ThetaHistogram] = ()
    thetas_synthesized: Sequence[ThetaHistogram] = ()
    """Theta of the synthesized images, in arms that use it."""
    outlook: Outlook | None = None
    map: WhenMap | None = None
    """The map that the outlook refers to."""
    groups: Sequence[ImageGroup] = ()
    preview: Sequence[ImageTriple] = ()
    """A few posts in increasing order of theta, for the top of the page."""
    failures: Sequence[FailureGroup] = ()
    stages: Sequence[StageTimes] = ()
    experiments: Sequence[ExperimentTables] = ()
    curves: Sequence[TrainingCurve] = ()
    disagreements: Disagreements | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    """By dotted name."""
    versions: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""
    """Identity of the arm, as JSON."""
