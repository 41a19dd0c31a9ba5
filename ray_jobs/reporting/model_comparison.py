"""Test posts on which two recognizers disagree: one trained on original images, one on an arm (paper, Table 4)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Any

from amia.errors import RunError
from amia.mner.spans import Span, label_names, lenient_spans
from amia.report.sampling import BottomK, seeded_key
from amia.report.view_models import Disagreement, Disagreements, EntityOutcome, PairCounts
from ray_jobs.reporting.images import PostView
from ray_jobs.reporting.models import ModelSummary
from ray_jobs.reporting.scan import PostKey, PostRef
from ray_jobs.storage.layout import predictions_folder, shard_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = [
    "ComparedPost",
    "ModelComparison",
    "build_disagreements",
    "compare_models",
    "find_model_pairs",
    "select_examples",
]

ORIGINAL = "original"
SPLIT = "test"
MAX_POSTS = 30
"""Maximum number of examples, half of each kind."""
COLUMNS = ("id", "split", "tokens", "ner_tags", "spans", "theta")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPost:
    """A labeled post with the predictions of two recognizers."""

    post: PostRef
    tokens: Sequence[str]
    gold: frozenset[Span]
    original_spans: frozenset[Span]
    """Prediction of the recognizer trained on original images."""
    augmented_spans: frozenset[Span]
    """Prediction of the recognizer trained on augmented images."""
    recognizer: str = ""


@dataclass(slots=True)
class ModelComparison:
    """Comparison of two trainings on the test split, with posts on which exactly one of them is right."""

    counts: PairCounts
    better: list[ComparedPost]
    worse: list[ComparedPost]


def find_model_pairs(
    models: Sequence[ModelSummary], arm: str, keys: Collection[str]
) -> list[tuple[ModelSummary, ModelSummary]]:
    """Return pairs of models with the same settings, the first trained on original images, the second on `arm`.

    Only models with predictions on their own arm are included; `keys` are all keys in `predictions/`.
    """
    folders = {key.rpartition("/")[0] for key in keys if key.rpartition("/")[2].startswith(f"{SPLIT}-")}
    with_predictions = [model for model in models if predictions_folder(model.name, model.arm) in folders]
    original, augmented = (
        {model.settings: model for model in with_predictions if model.arm == name} for name in (ORIGINAL, arm)
    )
    pairs = [(original[settings], augmented[settings]) for settings in original.keys() & augmented.keys()]
    return sorted(pairs, key=lambda pair: (pair[1].system, pair[1].seed, pair[1].name))


def compare_models(
    store: Store, plan: Plan, pair: tuple[ModelSummary, ModelSummary], seed: int
) -> ModelComparison | None:
    """Compare the predictions of both models on labeled test posts; None if no post has predictions of both.

    A prediction is right if exactly the gold entities are predicted, with their boundaries and types. Raises RunError
    if the predictions are for different posts.
    """
    better, worse = BottomK[ComparedPost](MAX_POSTS), BottomK[ComparedPost](MAX_POSTS)
    posts = both_wrong = 0
    for compared in _read_predictions(store, plan, pair):
        posts += 1
        if compared.original_spans == compared.augmented_spans:
            continue
        key = (seeded_key(seed, compared.post.id), compared.post.id)
        if compared.augmented_spans == compared.gold:
            better.add(key, compared)
        elif compared.original_spans == compared.gold:
            worse.add(key, compared)
        else:
            both_wrong += 1
    if not posts:
        return None
    recognizer = f"{pair[1].system}, seed {pair[1].seed}"
    counts = PairCounts(recognizer=recognizer, posts=posts, better=better.seen, worse=worse.seen, both_wrong=both_wrong)
    samples = [[replace(compared, recognizer=recognizer) for compared in sample.items] for sample in (better, worse)]
    return ModelComparison(counts, *samples)


def select_examples(comparisons: Sequence[ModelComparison]) -> tuple[list[ComparedPost], list[ComparedPost]]:
    """Select posts to show, where only augmented is right, and where only original is right.

    Each list has at most MAX_POSTS / 2 different posts, taken from the comparisons in turn.
    """
    return (
        _take_in_turn([comparison.better for comparison in comparisons]),
        _take_in_turn([comparison.worse for comparison in comparisons]),
    )


def build_disagreements(
    arm: str, comparisons: Sequence[ModelComparison], views: Mapping[PostKey, PostView]
) -> Disagreements | None:
    """Return the content of the section; None without comparisons."""
    if not comparisons:
        return None
    examples = [
        Disagreement(
            id=compared.post.id,
            recognizer=compared.recognizer,
            kind=kind,
            pieces=views[compared.post.key].pieces,
            original=views[compared.post.key].original,
            augmented=views[compared.post.key].augmented,
            theta=compared.post.theta,
            original_entities=_outcomes(compared, compared.original_spans),
            augmented_entities=_outcomes(compared, compared.augmented_spans),
        )
        for kind, posts in zip(("better", "worse"), select_examples(comparisons), strict=True)
        for compared in sorted(posts, key=lambda compared: (compared.post.theta or 0.0, compared.post.id))
    ]
    return Disagreements(arm=arm, pairs=[comparison.counts for comparison in comparisons], examples=examples)


def _take_in_turn(samples: Sequence[Sequence[ComparedPost]]) -> list[ComparedPost]:
    posts: dict[PostKey, ComparedPost] = {}
    for compared in chain(*zip_longest(*samples)):
        if compared is not None:
            posts.setdefault(compared.post.key, compared)
    return list(posts.values())[: MAX_POSTS // 2]


def _read_predictions(store: Store, plan: Plan, pair: tuple[ModelSummary, ModelSummary]) -> Iterator[ComparedPost]:
    folders = [predictions_folder(model.name, model.arm) for model in pair]
    existing = [store.list(folder) for folder in folders]
    labels = label_names(plan.types)
    for shard in plan.shards_of(SPLIT) if SPLIT in plan.posts else ():
        keys = [shard_key(folder, shard) for folder in folders]
        if not all(key in keys_of_model for key, keys_of_model in zip(keys, existing, strict=True)):
            continue
        original_rows, augmented_rows = (read_shard(store, key, COLUMNS).to_pylist() for key in keys)
        if [row["id"] for row in original_rows] != [row["id"] for row in augmented_rows]:
            raise RunError(f"{keys[0]} and {keys[1]} in {store.address} contain different posts: remove the wrong one")
        for number, (original, augmented) in enumerate(zip(original_rows, augmented_rows, strict=True)):
            if augmented["ner_tags"] is not None:
                columns = {name: augmented[name] for name in ("id", "split", "theta")}
                yield ComparedPost(
                    post=PostRef(shard=shard, row=number, **columns),
                    tokens=augmented["tokens"],
                    gold=frozenset(lenient_spans([labels[label] for label in augmented["ner_tags"]])),
                    original_spans=_spans_of(original),
                    augmented_spans=_spans_of(augmented),
                )


def _spans_of(row: Mapping[str, Any]) -> frozenset[Span]:
    return frozenset(Span(span["start"], span["end"], span["type"]) for span in row["spans"])


def _outcomes(compared: ComparedPost, predicted: frozenset[Span]) -> list[EntityOutcome]:
    """Return predicted entities, right or wrong, and missed entities, in the order of the text."""
    outcomes = {span: "right" if span in compared.gold else "wrong" for span in predicted}
    outcomes |= dict.fromkeys(compared.gold - predicted, "missed")
    return [
        EntityOutcome(text=" ".join(compared.tokens[span.start : span.end]), type=span.type, outcome=outcome)
        for span, outcome in sorted(outcomes.items())
    ]
