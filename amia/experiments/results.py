"""Result of one cell (a recognizer trained and evaluated once): span counts of each test post, and sums over posts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError

from amia.errors import RunError
from amia.mner.evaluation import ScoredPost, lenient_span_pair
from amia.mner.metrics import SpanCounts
from amia.utils.config import StrictModel

__all__ = ["PARTS", "CellResult", "DatasetInfo", "Part"]

Part = Literal["all", "with_image", "matched", "mismatched"]
"""Parts of the test posts, defined like the slices of `amia.mner.evaluation` that consist of whole posts."""
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """Size of a data set, and the models that its cells were made with."""

    posts: Mapping[str, int]
    """Number of posts by split: `train`, `validation`, `test`."""
    text_encoder: str
    """Names of models, as in the settings."""
    visual_encoder: str
    clip: str
    generator: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellResult:
    """One cell of the grid of data sets, recognizers, arms and seeds. Raises RunError for inconsistent arrays."""

    data: str
    """Name of the data set, as given by the user."""
    recognizer: str
    """Name of the system: `umt`, `bert-crf`, ..."""
    arm: str
    """Arm of training and test: an arm of `amia.mixing.arms`, or a control such as `noise`."""
    seed: int
    swapped: bool
    """Whether the images of the posts were swapped at evaluation."""
    ids: tuple[str, ...]
    """Ids of the labeled test posts, in order."""
    counts: NDArray[np.int64]
    """[posts, 3]: true positives, predicted and gold spans of each post, by lenient matching."""
    theta: NDArray[np.float64]
    """[posts], probability that image and text match, in [0, 1] (eq. 8); nan without one."""
    has_image: NDArray[np.bool_]
    """[posts], whether the post has a valid image."""

    def __post_init__(self) -> None:
        posts = len(self.ids)
        shapes = {"counts": (posts, 3), "theta": (posts,), "has_image": (posts,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                self._fail(f"{name} has shape {getattr(self, name).shape}, expected {shape} for {posts} posts")
        if len(set(self.ids)) < posts:
            self._fail("duplicate post ids")
        true_positives, predicted, gold = self.counts.T
        self._check(
            (true_positives >= 0) & (true_positives <= predicted) & (true_positives <= gold),
            "counts are not valid numbers of correct, predicted and gold spans",
        )
        self._check(~((self.theta < 0) | (self.theta > 1)), "theta is not in [0, 1]")  # allows nan

    @classmethod
    def from_posts(
        cls, posts: Sequence[ScoredPost], *, data: str, recognizer: str, arm: str, seed: int, swapped: bool = False
    ) -> Self:
        """Count the spans of predictions for labeled posts."""
        span_pairs = [lenient_span_pair(post) for post in posts]
        counts = [[len(set(gold) & set(predicted)), len(predicted), len(gold)] for gold, predicted in span_pairs]
        return cls(
            data=data,
            recognizer=recognizer,
            arm=arm,
            seed=seed,
            swapped=swapped,
            ids=tuple(post.id for post in posts),
            counts=np.array(counts, np.int64).reshape(-1, 3),
            theta=np.array([np.nan if post.theta is None else post.theta for post in posts], np.float64),
            has_image=np.array([post.has_image for post in posts], np.bool_),
        )

    @property
    def name(self) -> str:
        """Description for messages."""
        return f"{self.data}, {self.recognizer}, {self.arm}, seed {self.seed}{', swapped' if self.swapped else ''}"

    def mask(self, part: Part) -> NDArray[np.bool_]:
        """Return which posts are in the part, [posts]."""
        if part == "all":
            return np.ones(len(self.ids), np.bool_)
        if part == "with_image":
            return self.has_image
        # Comparisons with nan are False, so posts without theta are in neither part.
        return self.has_image & (self.theta > 0.5 if part == "matched" else self.theta <= 0.5)

    def score(self, part: Part = "all") -> SpanCounts:
        """Return the span counts summed over a part, which give precision, recall and F1."""
        true_positives, predicted, gold = self.counts[self.mask(part)].sum(axis=0).tolist()
        return SpanCounts(true_positives, predicted, gold)

    def to_json(self) -> dict[str, Any]:
        """Return JSON types: each array as a list in the order of `ids`, a missing theta as null."""
        true_positives, predicted, gold = self.counts.T.tolist()
        return {
            "data": self.data,
            "recognizer": self.recognizer,
            "arm": self.arm,
            "seed": self.seed,
            "swapped": self.swapped,
            "ids": list(self.ids),
            "true_positives": true_positives,
            "predicted": predicted,
            "gold": gold,
            "theta": [None if np.isnan(theta) else theta for theta in self.theta.tolist()],
            "has_image": self.has_image.tolist(),
        }

    @classmethod
    def from_json(cls, tree: object) -> Self:
        """Invert `to_json`. Raises RunError with the name of each field that is missing, unknown or invalid."""
        try:
            stored = _StoredResult.model_validate(tree)
        except ValidationError as error:
            details = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5])
            raise RunError(_INVALID_FILE.format(details)) from error
        lists = ("ids", "true_positives", "predicted", "gold", "theta", "has_image")
        lengths = {name: len(getattr(stored, name)) for name in lists}
        if len(set(lengths.values())) > 1:
            details = ", ".join(f"{name}: {length}" for name, length in lengths.items())
            raise RunError(_INVALID_FILE.format(f"lengths differ, {details}"))
        return cls(
            data=stored.data,
            recognizer=stored.recognizer,
            arm=stored.arm,
            seed=stored.seed,
            swapped=stored.swapped,
            ids=tuple(stored.ids),
            counts=np.array([stored.true_positives, stored.predicted, stored.gold], np.int64).T,
            theta=np.array([np.nan if theta is None else theta for theta in stored.theta], np.float64),
            has_image=np.array(stored.has_image, np.bool_),
        )

    def _check(self, valid: NDArray[np.bool_], problem: str) -> None:
        if not valid.all():
            self._fail(f"post {self.ids[int(valid.argmin())]}: {problem}")

    def _fail(self, problem: str) -> None:
        raise RunError(f"the result of ({self.name}) is invalid: {problem}; remove its file, and run the cell again")


_INVALID_FILE = "not a valid result of a cell ({}): remove its file, and run the cell again"
_Count = Annotated[int, Field(ge=0, lt=2**31)]


class _StoredResult(StrictModel):
    model_config = ConfigDict(strict=True)

    data: str
    recognizer: str
    arm: str
    seed: int
    swapped: bool
    ids: list[str]
    true_positives: list[_Count]
    predicted: list[_Count]
    gold: list[_Count]
    theta: list[float | None]
    has_image: list[bool]
