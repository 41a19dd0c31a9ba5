"""F1 of an experiment on the demo corpus by slices of its ground truth, and the predicted comparisons of its arms.

`python -m tests.benchmarks.bench_slices RUN --truth FILE [--recognizer NAME]`

RUN is the run of a finished experiment, FILE the `truth.ndjson` of its corpus. Slices of posts: by whether the image
matches, the sentence is neutral, and all rare names are known. Slices of mentions, gold and predicted ones alike: by
surface form. Differences are those of `docs/predictions.md`, with paired bootstrap intervals over posts.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amia.experiments.significance import paired_bootstrap
from amia.mner.spans import lenient_spans
from tests.benchmarks.bench_corpus_shares import read_sentences, spans

Truth = dict[str, Any]
ARM = re.compile(r"(?P<arm>[a-z0-9.-]+)-seed(?P<seed>\d+)(-[0-9a-f]{8})?\Z")
COMPARISONS = (
    ("original", "text", "all"),
    ("original", "text", "ambiguous, matched"),
    ("original", "text", "mismatched"),
    ("synthesized", "text", "all"),
    ("synthesized", "text", "rare known, unseen"),
    ("synthesized", "text", "ambiguous"),
    ("synthesized", "text", "rare unknown, unseen"),
    ("adaptive", "original", "all"),
    ("adaptive", "original", "matched, some unknown"),
    ("adaptive", "synthesized", "ambiguous, matched"),
    ("adaptive", "synthesized", "all"),
    ("adaptive", "text", "all"),
    ("adaptive", "shuffled", "all"),
    ("two-sided", "adaptive", "matched, some unknown"),
    ("two-sided", "adaptive", "all"),
    ("two-sided", "original", "all"),
    ("two-sided", "text", "all"),
    ("two-sided", "two-sided-shuffled", "all"),
    ("adaptive", "cosine", "all"),
    ("original", "original, swapped", "all"),
)


@dataclass(frozen=True)
class Predicted:
    """One test post: surface form (lower case), position and type of its gold and predicted spans."""

    truth: Truth
    gold: frozenset[tuple[str, int, str]]
    predicted: frozenset[tuple[str, int, str]]


def read_predictions(path: Path, truth: dict[str, Truth]) -> list[Predicted]:
    """Read the posts of a CoNLL file with gold and predicted tags."""
    posts = []
    for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
        header, *lines = block.split("\n")
        tokens, gold, predicted = zip(*(line.split("\t") for line in lines), strict=True)
        both = [
            frozenset((" ".join(tokens[s.start : s.end]).lower(), s.start, s.type) for s in lenient_spans(tags))
            for tags in (gold, predicted)
        ]
        posts.append(Predicted(truth[header.removeprefix("IMGID:")], *both))
    return posts


def count(posts: list[Predicted], in_post: Callable[[Truth], bool], forms: set[str] | None) -> NDArray[np.int64]:
    """Return true positives, predicted and gold spans of each post [posts, 3] in a slice."""
    rows = []
    for post in posts:
        gold, predicted = post.gold, post.predicted
        if forms is not None:
            gold, predicted = ({span for span in spans if span[0] in forms} for spans in (gold, predicted))
        inside = in_post(post.truth)
        rows.append([len(gold & predicted), len(predicted), len(gold)] if inside else [0, 0, 0])
    return np.array(rows, np.int64)


def slices(truth: dict[str, Truth], seen: set[str]) -> dict[str, tuple[Callable[[Truth], bool], set[str] | None]]:
    """Return the condition on posts and the surface forms of each slice. `seen`: forms of the training split."""

    def forms(condition: Callable[[Truth], bool]) -> set[str]:
        return {e["surface"].lower() for post in truth.values() for e in post["entities"] if condition(e)}

    known, unknown = forms(lambda e: e["known"] is True), forms(lambda e: e["known"] is False)
    ambiguous = forms(lambda e: e["frequency"] == "ambiguous")

    def always(_: Truth) -> bool:
        return True

    def some_unknown(post: Truth) -> bool:
        return any(entity["known"] is False for entity in post["entities"])

    return {
        "all": (always, None),
        "unseen": (always, forms(lambda e: e["surface"].lower() not in seen)),
        "ambiguous": (always, ambiguous),
        "matched": (lambda post: post["matched"] is True, None),
        "mismatched": (lambda post: post["matched"] is False, None),
        "neutral": (lambda post: post["neutral"], None),
        "one entity": (lambda post: len(post["entities"]) == 1, None),
        "several": (lambda post: len(post["entities"]) > 1, None),
        "rare known, unseen": (always, known - seen),
        "rare unknown, unseen": (always, unknown - seen),
        "matched, some unknown": (lambda post: post["matched"] is True and some_unknown(post), None),
        "matched, all known": (lambda post: post["matched"] is True and not some_unknown(post), None),
        "ambiguous, matched": (lambda post: post["matched"] is True, ambiguous),
    }


def find_predictions(run: Path, recognizer: str) -> Iterator[tuple[str, int, Path]]:
    """Yield arm, seed and file of each scored model of a recognizer. Names of arms say if images were swapped."""
    for path in sorted((run / "predictions").glob("*/*/test.conll")):
        model = path.parent.parent.name
        match = ARM.match(model.removeprefix(f"{recognizer}-"))
        if match and model.startswith(recognizer):
            swapped = ", swapped" if path.parent.name.endswith("-swapped") else ""
            yield match["arm"] + swapped, int(match["seed"]), path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--recognizer", default="bert-resnet-crf")
    arguments = parser.parse_args()
    posts = [json.loads(line) for line in arguments.truth.read_text(encoding="utf-8").splitlines()]
    truth = {post["id"]: post for post in posts if post["split"] == "test"}
    training = read_sentences(arguments.truth.parent / "train.txt")
    seen = {
        " ".join(token for token, _ in sentence[start:end]).lower()
        for sentence in training
        for start, end, _ in spans(sentence)
    }
    chosen = slices(truth, seen)
    arms: dict[str, dict[str, list[NDArray[np.int64]]]] = {}
    for arm, _, path in find_predictions(arguments.run, arguments.recognizer):
        predicted = read_predictions(path, truth)
        for name, (in_post, forms) in chosen.items():
            arms.setdefault(arm, {}).setdefault(name, []).append(count(predicted, in_post, forms))
    print_scores(arms, list(chosen))
    print_comparisons(arms)


def print_scores(arms: dict[str, dict[str, list[NDArray[np.int64]]]], names: list[str]) -> None:
    """Print mean F1 over the seeds, and its standard deviation over all posts, in percent."""
    print("| images | seeds | sd |" + " | ".join(names) + " |\n" + "|---" * (len(names) + 3) + "|")
    for arm, by_slice in arms.items():
        f1 = {name: [100 * _f1(counts) for counts in by_slice[name]] for name in names}
        cells = " | ".join(f"{np.mean(f1[name]):.1f}" for name in names)
        print(f"| {arm} | {len(f1['all'])} | {np.std(f1['all']):.1f} | {cells} |")


def print_comparisons(arms: dict[str, dict[str, list[NDArray[np.int64]]]]) -> None:
    """Print the difference of mean F1 of each comparison whose arms are finished."""
    print("\n| first | second | slice | difference | 95 % interval | p |\n|---|---|---|---|---|---|")
    for first, second, name in COMPARISONS:
        if first in arms and second in arms:
            systems = [np.stack(arms[arm][name]) for arm in (first, second)]
            (found,) = paired_bootstrap(systems, [(0, 1)])
            interval = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
            print(f"| {first} | {second} | {name} | {100 * found.observed:+.1f} | {interval} | {found.p:.3f} |")


def _f1(counts: NDArray[np.int64]) -> float:
    true_positives, predicted, gold = counts.sum(0).tolist()
    return 2 * true_positives / (predicted + gold) if predicted + gold else 0.0


if __name__ == "__main__":
    main()
