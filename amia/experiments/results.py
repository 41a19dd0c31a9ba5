"""What one trained and evaluated recognizer leaves behind: span counts of each test post, and what they add up to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError

from amia.errors import RunError
from amia.experiments.run_specs import Negatives
from amia.mner.evaluation import ScoredPost, lenient
from amia.mner.metrics import Counts
from amia.utils.config import StrictModel

__all__ = ["PARTS", "CellResult", "DatasetInfo", "Part"]

# MERGED FROM amia.experiments.results: What a table has to know of a data set beyond the results on it.
Part = Literal["all", "with_image", "matched", "mismatched"]
"""The slices of `amia.mner.evaluation` that hold whole posts, by its rules."""
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellResult:
    """One cell of the grid of data sets, recognizers, arms and seeds. Raises RunError where its arrays do not agree."""

    data: str
    """Name of the data set, as the user gave it."""
    recognizer: str
    """Name of the system: `umt`, `bert-crf`, ..."""
    arm: str
    """What it was trained and tested on: an arm of `amia.mixing.arms`, or a control such as `noise`."""
    seed: int
    swapped: bool
    """Whether posts were shown each other's images at evaluation."""
    ids: tuple[str, ...]
    """The test posts with gold labels, in order."""
    counts: NDArray[np.int64]
    """[posts, 3]: true positives, predicted and gold spans of each post, lenient."""
    theta: NDArray[np.float64]
    """[posts], how well image and text match, in [0, 1] (eq. 8); nan where there is none."""
    has_image: NDArray[np.bool_]
    """[posts], whether the post came with an image that could be read."""

    def __post_init__(self) -> None:
        posts = len(self.ids)
        shapes = {"counts": (posts, 3), "theta": (posts,), "has_image": (posts,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                self._refuse(f"{name} has shape {getattr(self, name).shape} where {posts} posts need {shape}")
        if len(set(self.ids)) < posts:
            self._refuse("a post stands in it twice")
        right, predicted, gold = self.counts.T
        self._forbid(
            (right < 0) | (right > predicted) | (right > gold), "counts are not those of right, found and gold spans"
        )
        self._forbid((self.theta < 0) | (self.theta > 1), "theta is not in [0, 1]")

    @classmethod
    def of(
        cls, posts: Sequence[ScoredPost], *, data: str, recognizer: str, arm: str, seed: int, swapped: bool = False
    ) -> Self:
        """From what a recognizer said of each post with gold labels."""
        pairs = [lenient(post) for post in posts]
        counts = [[len(set(gold) & set(found)), len(found), len(gold)] for gold, found in pairs]
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
        """For messages."""
        return f"{self.data}, {self.recognizer}, {self.arm}, seed {self.seed}{', swapped' if self.swapped else ''}"

    def mask(self, part: Part) -> NDArray[np.bool_]:
        """[posts], which of them are in the part."""
        if part == "all":
            return np.ones(len(self.ids), np.bool_)
        if part == "with_image":
            return self.has_image
        # A nan is neither above nor below.
        return self.has_image & (self.theta > 0.5 if part == "matched" else self.theta <= 0.5)

    def score(self, part: Part = "all") -> Counts:
        """The counts of a part of the posts together; precision, recall and F1 hang on them."""
        right, predicted, gold = self.counts[self.mask(part)].sum(axis=0).tolist()
        return Counts(right, predicted, gold)

    def to_json(self) -> dict[str, Any]:
        """One list an array, in the order of `ids`; null is a theta that there is not."""
        right, predicted, gold = self.counts.T.tolist()
        return {
            "data": self.data,
            "recognizer": self.recognizer,
            "arm": self.arm,
            "seed": self.seed,
            "swapped": self.swapped,
            "ids": list(self.ids),
            "true_positives": right,
            "predicted": predicted,
            "gold": gold,
            "theta": [None if np.isnan(each) else each for each in self.theta.tolist()],
            "has_image": self.has_image.tolist(),
        }

    @classmethod
    def from_json(cls, told: object) -> Self:
        """The reverse of `to_json`. Raises RunError that names each field that is missing, unknown or no such value."""
        try:
            read = _Stored.model_validate(told)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
            raise RunError(_NO_RESULT.format(wrong)) from error
        lists = ("ids", "true_positives", "predicted", "gold", "theta", "has_image")
        lengths = {name: len(getattr(read, name)) for name in lists}
        if len(set(lengths.values())) > 1:
            wrong = ", ".join(f"{name}: {length}" for name, length in lengths.items())
            raise RunError(_NO_RESULT.format(f"lengths differ, {wrong}"))
        return cls(
            data=read.data,
            recognizer=read.recognizer,
            arm=read.arm,
            seed=read.seed,
            swapped=read.swapped,
            ids=tuple(read.ids),
            counts=np.array([read.true_positives, read.predicted, read.gold], np.int64).T,
            theta=np.array([np.nan if each is None else each for each in read.theta], np.float64),
            has_image=np.array(read.has_image, np.bool_),
        )

    def _forbid(self, wrong: NDArray[np.bool_], what: str) -> None:
        if wrong.any():
            self._refuse(f"post {self.ids[int(wrong.argmax())]}: {what}")

    def _refuse(self, what: str) -> None:
        raise RunError(f"the result of ({self.name}) cannot be used: {what}; remove its file, and run the cell again")


_NO_RESULT = "this is no result of a cell ({}): remove its file, and run the cell again"
_Count = Annotated[int, Field(ge=0, lt=2**31)]


class _Stored(StrictModel):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
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
