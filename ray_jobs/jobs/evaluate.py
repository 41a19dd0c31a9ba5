"""`amia evaluate`: score a recognizer on the labeled posts of a split, overall and by slices of the posts."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from amia.errors import CorpusError, IdentityError
from amia.mner.evaluation import (
    ScoredPost,
    lenient_span_pair,
    score_slices,
    strict_span_pair,
    surface_forms,
    to_conll,
)
from amia.mner.metrics import ScoreReport
from amia.mner.spans import label_names
from amia.posts import canonical_split
from ray_jobs.jobs.predict import PredictResult, predict
from ray_jobs.settings.job import Settings
from ray_jobs.storage.layout import EVALUATIONS, POSTS, PREDICTIONS, shard_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["Evaluation", "evaluate", "publish_scores", "read_scored_posts"]

COLUMNS = ("id", "tokens", "tags", "ner_tags", "predicted_tags", "theta", "image_status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of one recognizer on one split of one arm."""

    model: str
    arm: str
    split: str
    swapped: bool
    """Whether the images were swapped among the posts."""
    posts: int
    """Number of posts with gold labels. Only these are scored."""
    unlabeled: int
    """Number of posts without gold labels."""
    lenient: dict[str, ScoreReport]
    """Scores by slice of `amia.mner.evaluation`, including `all`: the usual practice, on `ner_tags`."""
    strict: dict[str, ScoreReport]
    """Scores by slice, with strict IOB2 on the tags as read."""
    key: str
    """Key of the scores in the run."""
    conll: str
    """Key of the predictions in CoNLL format."""

    def to_json(self) -> dict[str, Any]:
        """Return everything but the two keys as JSON types; scores are in [0, 1]."""
        return {
            "model": self.model,
            "arm": self.arm,
            "split": self.split,
            "swapped": self.swapped,
            "posts": self.posts,
            "unlabeled": self.unlabeled,
            "lenient": {name: report.to_json() for name, report in self.lenient.items()},
            "strict": {name: report.to_json() for name, report in self.strict.items()},
        }


def evaluate(
    run: str,
    settings: Settings,
    *,
    model: str,
    arm: str = "adaptive",
    split: str = "test",
    swap_images: bool = False,
    quiet: bool = False,
) -> Evaluation:
    """Predict a split as `amia predict` does, score it, and publish scores and CoNLL. Only missing parts are computed.

    Raises CorpusError if the split has no labels, IdentityError if the run holds the scores of other predictions under
    the same name, and the errors of `predict`.
    """
    result = predict(run, settings, model=model, arm=arm, splits=[split], swap_images=swap_images, quiet=quiet)
    return publish_scores(result, canonical_split(split), read_scored_posts(result))


def read_scored_posts(result: PredictResult) -> list[ScoredPost]:
    """Read the predicted posts that have gold labels, in the plan's order."""
    names = label_names(result.types)
    return [
        ScoredPost(
            id=row["id"],
            tokens=tuple(row["tokens"]),
            tags=None if row["tags"] is None else tuple(row["tags"]),
            gold=tuple(names[label] for label in row["ner_tags"]),
            predicted=tuple(names[label] for label in row["predicted_tags"]),
            theta=row["theta"],
            has_image=row["image_status"] == "ok",
        )
        for shard in result.shards
        for row in read_shard(result.store, shard_key(result.folder, shard), COLUMNS).to_pylist()
        if row["ner_tags"] is not None
    ]


def publish_scores(result: PredictResult, split: str, posts: Sequence[ScoredPost]) -> Evaluation:
    """Score the predictions of one split, and publish scores and CoNLL in the run. Raises as `evaluate` does."""
    if not posts:
        raise CorpusError(f"no post of split {split!r} in {result.store.address} has labels to score against")
    forms = surface_forms(_read_training_labels(result.store, result.plan))
    evaluation = Evaluation(
        model=result.model,
        arm=result.arm,
        split=split,
        swapped=result.swapped,
        posts=len(posts),
        unlabeled=result.posts - len(posts),
        lenient=score_slices(posts, forms, lenient_span_pair),
        strict=score_slices(posts, forms, strict_span_pair),
        key=f"{result.folder.replace(PREDICTIONS, EVALUATIONS, 1)}-{split}.json",
        conll=f"{result.folder}/{split}.conll",
    )
    tree = {**evaluation.to_json(), "predictions": result.identity}
    _create_or_compare(result.store, evaluation.key, json.dumps(tree, indent=1, sort_keys=True).encode())
    _create_or_compare(result.store, evaluation.conll, to_conll(posts).encode())
    return evaluation


def _read_training_labels(store: Store, plan: Plan) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Yield the tokens and gold tags of the labeled training posts."""
    for shard in plan.shards_of("train") if "train" in plan.posts else ():
        table = read_shard(store, shard_key(POSTS, shard), ["tokens", "ner_tags"])
        for tokens, tags in zip(table["tokens"].to_pylist(), table["ner_tags"].to_pylist(), strict=True):
            if tags is not None:
                yield tokens, tags


def _create_or_compare(store: Store, key: str, data: bytes) -> None:
    """Create a file. Raise IdentityError if it exists with other content."""
    if not store.create(key, data) and store.read(key) != data:
        raise IdentityError(f"{key} in {store.address} describes other predictions: remove it to write it again")
