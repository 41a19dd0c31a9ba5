"""Posts of which two recognizers say different things, trained alike on originals and on an arm (paper, Table 4)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Any

from amia.errors import RunError
from amia.mner.spans import Span, label_names, lenient_spans
from amia.report.sampling import BottomK, keyed
from amia.report.view_models import Answer, Disagreement, Disagreements, Pairing
from ray_jobs.reporting.images import PostView
from ray_jobs.reporting.scan import PostRef
from ray_jobs.reporting.training import ModelSummary
from ray_jobs.storage.layout import shard_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["Case", "ModelComparison", "chosen", "compare", "disagreements", "pairs_of"]

ORIGINAL = "original"
SPLIT = "test"
MOST_POSTS = 30
"""Shown in all, half of each kind."""
COLUMNS = ("id", "split", "tokens", "ner_tags", "spans", "theta")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A post on which a pair disagrees, and one of the two is right."""

    place: PostRef
    tokens: Sequence[str]
    gold: frozenset[Span]
    of_original: frozenset[Span]
    of_augmented: frozenset[Span]
    recognizer: str = ""


@dataclass(slots=True)
class ModelComparison:
    """A pair of trainings over the test split."""

    pairing: Pairing
    better: list[Case]
    worse: list[Case]


def pairs_of(
    models: Sequence[ModelSummary], arm: str, keys: Collection[str]
) -> list[tuple[ModelSummary, ModelSummary]]:
    """(trained on the originals, trained on `arm`) of everything that is alike but for that.

    Only those that were asked about their own arm count; `keys` are the run's below predictions/.
    """
    asked = {key.rpartition("/")[0] for key in keys if key.rpartition("/")[2].startswith(f"{SPLIT}-")}
    answered = [model for model in models if folder_of(model) in asked]
    left, right = ({each.settings: each for each in answered if each.arm == name} for name in (ORIGINAL, arm))
    pairs = [(left[settings], right[settings]) for settings in left.keys() & right.keys()]
    return sorted(pairs, key=lambda pair: (pair[1].system, pair[1].seed, pair[1].name))


def folder_of(model: ModelSummary) -> str:
    """Where a recognizer's answers about its own arm stand."""
    return f"predictions/{model.name}/{model.arm}"


def compare(store: Store, plan: Plan, pair: tuple[ModelSummary, ModelSummary], seed: int) -> ModelComparison | None:
    """Both recognizers' answers for the labeled test posts; None where they were never both asked.

    Right is a post whose entities are all found, and no other, in place and type. Raises RunError when the two have
    answered for other posts.
    """
    better, worse = BottomK[Case](MOST_POSTS), BottomK[Case](MOST_POSTS)
    posts = both_wrong = 0
    for case in _answered(store, plan, pair):
        posts += 1
        if case.of_original == case.of_augmented:
            continue
        key = (keyed(seed, case.place.id), case.place.id)
        if case.of_augmented == case.gold:
            better.offer(key, case)
        elif case.of_original == case.gold:
            worse.offer(key, case)
        else:
            both_wrong += 1
    if not posts:
        return None
    recognizer = f"{pair[1].system}, seed {pair[1].seed}"
    pairing = Pairing(recognizer=recognizer, posts=posts, better=better.seen, worse=worse.seen, both_wrong=both_wrong)
    named = [[replace(case, recognizer=recognizer) for case in some.items] for some in (better, worse)]
    return ModelComparison(pairing, *named)


def chosen(compared: Sequence[ModelComparison]) -> tuple[list[Case], list[Case]]:
    """The cases to show: augmented right, and original right; half of MOST_POSTS each, every post once.

    Of several pairs each has its turn.
    """
    return _by_turns([each.better for each in compared]), _by_turns([each.worse for each in compared])


def _by_turns(kinds: Sequence[Sequence[Case]]) -> list[Case]:
    found: dict[tuple[str, int], Case] = {}
    for case in chain(*zip_longest(*kinds)):
        if case is not None:
            found.setdefault(case.place.key, case)
    return list(found.values())[: MOST_POSTS // 2]


def disagreements(
    arm: str, compared: Sequence[ModelComparison], pictures: Mapping[tuple[str, int], PostView]
) -> Disagreements | None:
    """What the page shows; None where there is no pair."""
    if not compared:
        return None
    examples = [
        Disagreement(
            id=case.place.id,
            recognizer=case.recognizer,
            kind=kind,
            pieces=pictures[case.place.key].pieces,
            original=pictures[case.place.key].original,
            augmented=pictures[case.place.key].augmented,
            theta=case.place.theta,
            of_original=_answers(case, case.of_original),
            of_augmented=_answers(case, case.of_augmented),
        )
        for kind, cases in zip(("better", "worse"), chosen(compared), strict=True)
        for case in sorted(cases, key=lambda case: (case.place.theta or 0.0, case.place.id))
    ]
    return Disagreements(arm=arm, pairings=[each.pairing for each in compared], examples=examples)


def _answered(store: Store, plan: Plan, pair: tuple[ModelSummary, ModelSummary]) -> Iterator[Case]:
    folders = [folder_of(model) for model in pair]
    there = [store.list(folder) for folder in folders]
    labels = label_names(plan.types)
    for shard in plan.shards_of(SPLIT) if SPLIT in plan.posts else ():
        keys = [shard_key(folder, shard) for folder in folders]
        if not all(key in sizes for key, sizes in zip(keys, there, strict=True)):
            continue
        left, right = (read_shard(store, key, COLUMNS).to_pylist() for key in keys)
        if [row["id"] for row in left] != [row["id"] for row in right]:
            raise RunError(f"{keys[0]} and {keys[1]} in {store.address} are about other posts: remove the foreign one")
        for number, (original, augmented) in enumerate(zip(left, right, strict=True)):
            if augmented["ner_tags"] is not None:
                place = {name: augmented[name] for name in ("id", "split", "theta")}
                yield Case(
                    place=PostRef(shard=shard, row=number, **place),
                    tokens=augmented["tokens"],
                    gold=frozenset(lenient_spans([labels[label] for label in augmented["ner_tags"]])),
                    of_original=_spans(original),
                    of_augmented=_spans(augmented),
                )


def _spans(row: Mapping[str, Any]) -> frozenset[Span]:
    return frozenset(Span(each["start"], each["end"], each["type"]) for each in row["spans"])


def _answers(case: Case, found: frozenset[Span]) -> list[Answer]:
    """What was found, right or wrong, and what was missed, in the order of the words."""
    verdicts = {span: "right" if span in case.gold else "wrong" for span in found}
    verdicts |= dict.fromkeys(case.gold - found, "missed")
    return [
        Answer(text=" ".join(case.tokens[span.start : span.end]), type=span.type, verdict=verdict)
        for span, verdict in sorted(verdicts.items())
    ]
