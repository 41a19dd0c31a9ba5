"""`amia evaluate`: how many of a split's entities a recognizer finds, in all and on named parts of the posts."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from amia.errors import CorpusError, IdentityError
from amia.mner.conll import to_conll
from amia.mner.evaluation import ScoredPost, lenient, score_slices, strict, surface_forms
from amia.mner.metrics import ScoreReport
from amia.mner.spans import label_names
from amia.posts import canonical_split
from ray_jobs.jobs.predict import PredictResult, predict
from ray_jobs.settings.job import Settings
from ray_jobs.storage.layout import POSTS, shard_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["Evaluation", "evaluate", "judged", "publish_scores"]

COLUMNS = ("id", "tokens", "tags", "ner_tags", "predicted_tags", "theta", "image_status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of one recognizer on one split of one arm."""

    model: str
    arm: str
    split: str
    swapped: bool
    """Whether posts were shown each other's images."""
    posts: int
    """With gold labels; the only ones that are scored."""
    unlabeled: int
    lenient: dict[str, ScoreReport]
    """By slice as in `amia.mner.evaluation`, `all` among them: the field's practice, on `ner_tags`."""
    strict: dict[str, ScoreReport]
    """The same by strict IOB2, on the tags as read."""
    key: str
    """Where all of this is published in the run."""
    conll: str
    """Key of the predictions as CoNLL."""

    def to_json(self) -> dict[str, Any]:
        """Everything but the two keys; shares in [0, 1]."""
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
    """Predict a split as `amia predict` does, score it, and publish scores and CoNLL; started again, it goes on.

    Raises CorpusError when the split has no labels, IdentityError when the scores of other predictions stand where
    these belong, and whatever `predict` raises.
    """
    done = predict(run, settings, model=model, arm=arm, splits=[split], swap_images=swap_images, quiet=quiet)
    return publish_scores(done, canonical_split(split), judged(done))


def publish_scores(done: PredictResult, split: str, posts: Sequence[ScoredPost]) -> Evaluation:
    """Score the predictions of one split, and keep scores and CoNLL in the run. Raises as `evaluate` does."""
    if not posts:
        raise CorpusError(f"no post of split {split!r} in {done.store.address} has labels to score against")
    forms = surface_forms(_training(done.store, done.plan))
    evaluation = Evaluation(
        model=done.model,
        arm=done.arm,
        split=split,
        swapped=done.swapped,
        posts=len(posts),
        unlabeled=done.posts - len(posts),
        lenient=score_slices(posts, forms, lenient),
        strict=score_slices(posts, forms, strict),
        key=f"{done.folder.replace('predictions', 'evaluations', 1)}-{split}.json",
        conll=f"{done.folder}/{split}.conll",
    )
    told = {**evaluation.to_json(), "predictions": done.identity}
    _keep(done.store, evaluation.key, json.dumps(told, indent=1, sort_keys=True).encode())
    _keep(done.store, evaluation.conll, to_conll(posts).encode())
    return evaluation


def judged(done: PredictResult) -> list[ScoredPost]:
    """The predicted posts that have gold labels, in the plan's order."""
    names = label_names(done.types)
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
        for shard in done.shards
        for row in read_shard(done.store, f"{done.folder}/{shard}.parquet", COLUMNS).to_pylist()
        if row["ner_tags"] is not None
    ]


def _training(store: Store, plan: Plan) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Tokens and gold of the labeled training posts."""
    for shard in plan.shards_of("train") if "train" in plan.posts else ():
        table = read_shard(store, shard_key(POSTS, shard), ["tokens", "ner_tags"])
        for tokens, tags in zip(table["tokens"].to_pylist(), table["ner_tags"].to_pylist(), strict=True):
            if tags is not None:
                yield tokens, tags


def _keep(store: Store, key: str, data: bytes) -> None:
    if not store.create(key, data) and store.read(key) != data:
        raise IdentityError(f"{key} in {store.address} is about other predictions: remove it to write it anew")
