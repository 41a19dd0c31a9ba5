"""What a report shows, as plain data: everything is counted and chosen before, nothing is drawn yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from amia.report.attribution import Attribution
from amia.report.entity_markup import TextPiece
from amia.report.experiment_tables import Experiment
from amia.report.loss_figure import LossFigure

__all__ = [
    "Accounting",
    "Answer",
    "Breakdown",
    "Check",
    "Disagreement",
    "Disagreements",
    "Example",
    "Failure",
    "ImageGroup",
    "ImageTriple",
    "Pairing",
    "ReportContent",
    "SplitThetas",
    "StageTimes",
    "TrainedCurve",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """All posts by one of their properties."""

    title: str
    parts: Mapping[str, int]
    """Posts by value in words, the most important first."""

    @property
    def total(self) -> int:
        """Posts in all parts."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Two counts that must be equal."""

    what: str
    left: int
    right: int

    @property
    def holds(self) -> bool:
        """Whether they are."""
        return self.left == self.right


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """Every post that went in, by what became of it."""

    posts: int
    usable: int
    """Posts with a usable image."""
    pictured: int
    """Posts with an image in this arm."""
    breakdowns: Sequence[Breakdown]
    checks: Sequence[Check]
    rejected: int
    """Rows of the source that were no posts."""
    labeled: int
    models: Sequence[Attribution]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitThetas:
    """theta of one split's posts that have one."""

    split: str
    posts: Sequence[int]
    """In equal bars from 0 to 1; a theta of 1 in the last."""
    matched: int
    """Posts with theta above 0.5."""

    @property
    def total(self) -> int:
        """Posts in all bars."""
        return sum(self.posts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTriple:
    """One post with its three images, as WebP; None where there is none."""

    id: str
    split: str
    pieces: Sequence[TextPiece]
    original: bytes | None
    synthesized: bytes | None
    augmented: bytes | None
    theta: float | None
    ratio: float | None
    loss: float | None
    cosine: float | None
    notes: Sequence[str] = ()
    """What else there is to say: `without an image`, `lowest theta`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGroup:
    """Posts that belong together, a tenth of theta as a rule."""

    title: str
    posts: int
    """How many there are in the run."""
    triples: Sequence[ImageTriple]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One post, or row of the source, that failed."""

    where: str
    """Its split, or its place in the source."""
    id: str
    text: str
    picture: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One reason why something could not be done."""

    reason: str
    count: int
    examples: Sequence[Example]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """What the log says of one stage. Seconds are sums over its actors."""

    stage: str
    posts: int
    shards: int
    load_s: float
    run_s: float
    publish_s: float
    wall_s: float
    """From the first shard's start to the last one's end, summed over the executions that the stage ran in."""
    actors: int
    """Processes."""
    hosts: int
    gpus: int
    """GPUs that the actors were given, counted a host."""

    @property
    def per_actor(self) -> float | None:
        """Posts a second of one actor's own work; None where the log's clock saw none."""
        return self.posts / self.run_s if self.run_s > 0 else None

    @property
    def per_wall(self) -> float | None:
        """Posts a second of all actors together."""
        return self.posts / self.wall_s if self.wall_s > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedCurve:
    """Validation F1 of one training."""

    name: str
    system: str
    arm: str
    seed: int
    f1: Sequence[float]
    """After each epoch, in [0, 1]."""

    @property
    def best(self) -> float:
        """The F1 of the epoch that was kept."""
        return max(self.f1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One entity that a recognizer found or missed."""

    text: str
    type: str
    verdict: str
    """`right`, `wrong` or `missed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A labeled post of which two recognizers say different things."""

    id: str
    recognizer: str
    """System and seed of both."""
    kind: str
    """`better`: the one trained on augmented images is right; `worse`: the one trained on originals is."""
    pieces: Sequence[TextPiece]
    original: bytes | None
    augmented: bytes | None
    theta: float | None
    of_original: Sequence[Answer]
    of_augmented: Sequence[Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Two trainings that differ in their arm alone, on the labeled posts of the test split."""

    recognizer: str
    posts: int
    """That both have answered."""
    better: int
    """Augmented right, original wrong."""
    worse: int
    both_wrong: int
    """Both wrong, and not alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreements:
    """Where recognizers trained on one arm and on the other part."""

    arm: str
    pairings: Sequence[Pairing]
    examples: Sequence[Disagreement]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """A whole report. What is empty or None is left out of the page."""

    run: str
    """The run's address."""
    arm: str
    notices: Sequence[str]
    """What the person must know before anything else, in plain words."""
    accounting: Accounting
    losses: Sequence[LossFigure] = ()
    thetas: Sequence[SplitThetas] = ()
    groups: Sequence[ImageGroup] = ()
    strip: Sequence[ImageTriple] = ()
    """A few posts from low theta to high, for the head of the page."""
    failures: Sequence[Failure] = ()
    stages: Sequence[StageTimes] = ()
    experiments: Sequence[Experiment] = ()
    curves: Sequence[TrainedCurve] = ()
    disagreements: Disagreements | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    """By dotted name."""
    versions: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""
    """Of the arm, as JSON."""
