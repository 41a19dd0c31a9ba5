"""What the paper reports, and when a result may stand beside it.

Some of the figures printed in its tables cannot all be true: an F1 that does not follow from the precision and recall
beside it, an F1 on all test posts outside the two on its parts, two tables that differ. Each carries a `doubt`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from amia.experiments.facts import DataFacts
from amia.experiments.needs import Need
from amia.experiments.paper_figures import ROWS
from amia.experiments.results import Part

__all__ = ["DATASETS", "Printed", "comparable", "figure", "recognised"]

DATASETS: Mapping[str, Mapping[str, int]] = {
    "twitter-2015": {"train": 4000, "validation": 1000, "test": 3257},
    "twitter-2017": {"train": 3373, "validation": 723, "test": 723},
}
"""The paper's data sets, by their number of posts in each split."""

TEXT_ENCODERS = {"google-bert/bert-base-cased", "bert-base-cased"}
VISUAL_ENCODERS = {"microsoft/resnet-152"}
CLIPS = {"openai/clip-vit-base-patch16"}
GENERATORS = {"stabilityai/sdxl-turbo", "stabilityai/sd-turbo"}
"""The paper's text names one, its footnote the other."""

LSTMS = {"bilstm-crf", "cnn-bilstm-crf", "hbilstm-crf"}


@dataclass(frozen=True, slots=True)
class Printed:
    """One row of the paper on one data set, in percent; None where the print is illegible."""

    precision: float | None
    recall: float | None
    f1: float
    doubt: str | None = None
    """What it contradicts."""
    copied: bool = False
    """Whether the paper took it from earlier work instead of running the system."""


def figure(table: str, dataset: str, need: Need, part: Part = "all") -> Printed | None:
    """What the paper prints in `table1`, `table2` or `table3`; None where it prints nothing."""
    return None if need.swapped else _PRINTED.get((table, dataset, need.recogniser, need.arm, part))


def recognised(facts: DataFacts) -> str | None:
    """Which of `DATASETS` it is, by the number of posts of each split; None for any other."""
    filled = {split: posts for split, posts in facts.posts.items() if posts}
    return next((name for name, posts in DATASETS.items() if filled == posts), None)


def comparable(facts: DataFacts, table: str, need: Need, part: Part = "all") -> Printed | None:
    """The paper's figure, where data set and models are the paper's; None otherwise.

    A recogniser needs the paper's text and visual encoder, an arm with synthesized images its generator, whatever
    rests on theta or cosine (the halves of Table 3 too) its CLIP. The LSTM systems have no encoder to compare.
    """
    dataset = recognised(facts)
    if dataset is None:
        return None
    same = {
        "text": facts.text_encoder in TEXT_ENCODERS or need.recogniser in LSTMS,
        "visual": facts.visual_encoder in VISUAL_ENCODERS or need.arm == "text",
        "generator": facts.generator in GENERATORS or need.arm in {"text", "original"},
        "clip": facts.clip in CLIPS or (part == "all" and need.arm not in {"adaptive", "cosine"}),
    }
    return figure(table, dataset, need, part) if all(same.values()) else None


_Key = tuple[str, str, str, str, str]
"""Table, data set, recogniser, arm, part."""


def _printed() -> dict[_Key, Printed]:
    rows: dict[_Key, list[float | None]] = {
        (table, dataset, recogniser, arm, part): [None if each == "-" else float(each) for each in numbers]
        for (table, part), text in ROWS.items()
        for recogniser, arm, *both in map(str.split, text.strip().splitlines())
        for dataset, numbers in zip(DATASETS, (both[:3], both[3:]), strict=True)
    }
    f1 = {key: numbers[2] for key, numbers in rows.items() if numbers[2] is not None}
    return {
        key: Printed(precision, recall, f1[key], "; ".join(_doubts(key, rows[key], f1)) or None, key[2] in LSTMS)
        for key, (precision, recall, _) in rows.items()
    }


def _doubts(key: _Key, numbers: list[float | None], f1: Mapping[_Key, float]) -> Iterator[str]:
    """What a row contradicts, beyond what rounding or a mean over several runs could explain."""
    precision, recall, _ = numbers
    if precision is not None and recall is not None:
        follows = 2 * precision * recall / (precision + recall)
        if abs(follows - f1[key]) > 0.1:
            yield f"F1 of the P and R beside it is {follows:.2f}"
    table, dataset, recogniser, arm, part = key
    elsewhere = f1.get(("table2" if table == "table1" else "table1", dataset, recogniser, arm, part), f1[key])
    if elsewhere != f1[key]:
        yield f"another of the paper's tables prints {elsewhere:.2f}"
    halves = [("table3", dataset, recogniser, arm, half) for half in ("mismatched", "matched")]
    if all(half in f1 for half in halves):
        whole, low, high = f1["table2", dataset, recogniser, arm, "all"], *sorted(f1[half] for half in halves)
        if not low - 0.01 <= whole <= high + 0.01:
            yield f"F1 on all posts, {whole:.2f}, is outside those of Table 3, {low:.2f} and {high:.2f}"


_PRINTED = _printed()
