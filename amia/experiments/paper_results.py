"""Scores that the paper reports, and when a result is comparable with them.

Some scores in the paper's tables contradict each other: an F1 that does not follow from precision and recall, an F1 on
all test posts outside the range of its two parts, two tables with different values. These have an `inconsistency`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from amia.experiments.results import DatasetInfo, Part
from amia.experiments.run_specs import RunSpec

__all__ = ["DATASETS", "REPORTED_ROWS", "ReportedScore", "comparable_score", "identify_dataset", "reported_score"]

DATASETS: Mapping[str, Mapping[str, int]] = {
    "twitter-2015": {"train": 4000, "validation": 1000, "test": 3257},
    "twitter-2017": {"train": 3373, "validation": 723, "test": 723},
}
"""The paper's data sets, with the number of posts in each split."""

TEXT_ENCODERS = {"google-bert/bert-base-cased", "bert-base-cased"}
VISUAL_ENCODERS = {"microsoft/resnet-152"}
CLIP_MODELS = {"openai/clip-vit-base-patch16"}
GENERATORS = {"stabilityai/sdxl-turbo", "stabilityai/sd-turbo"}
"""The paper's text names one of them, its footnote the other."""

LSTM_SYSTEMS = {"bilstm-crf", "cnn-bilstm-crf", "hbilstm-crf"}


@dataclass(frozen=True, slots=True)
class ReportedScore:
    """One row of the paper on one data set, in percent; None if the value is illegible."""

    precision: float | None
    recall: float | None
    f1: float
    inconsistency: str | None = None
    """Other values of the paper that it contradicts."""
    copied: bool = False
    """Whether the paper took the row from earlier work instead of running the system."""


def reported_score(table: str, dataset: str, run: RunSpec, part: Part = "all") -> ReportedScore | None:
    """Return what the paper reports in `table1`, `table2` or `table3`; None if it reports nothing."""
    return None if run.swapped else _SCORES.get((table, dataset, run.recognizer, run.arm, part))


def identify_dataset(info: DatasetInfo) -> str | None:
    """Return which of `DATASETS` it is, by the number of posts in each split; None for any other data set."""
    sizes = {split: posts for split, posts in info.posts.items() if posts}
    return next((name for name, posts in DATASETS.items() if sizes == posts), None)


def comparable_score(info: DatasetInfo, table: str, run: RunSpec, part: Part = "all") -> ReportedScore | None:
    """Return the reported score if data set and models are those of the paper, else None.

    A recognizer must use the paper's text and visual encoder, an arm with synthesized images its generator, and
    everything that depends on theta or cosine similarity (including the parts of Table 3) its CLIP model. The LSTM
    systems have no text encoder to compare.
    """
    dataset = identify_dataset(info)
    if dataset is None:
        return None
    same_models = (
        (info.text_encoder in TEXT_ENCODERS or run.recognizer in LSTM_SYSTEMS)
        and (info.visual_encoder in VISUAL_ENCODERS or run.arm == "text")
        and (info.generator in GENERATORS or run.arm in {"text", "original"})
        and (info.clip in CLIP_MODELS or (part == "all" and run.arm not in {"adaptive", "cosine"}))
    )
    return reported_score(table, dataset, run, part) if same_models else None


# Tables 1 to 3 as printed: precision, recall and F1 on Twitter-2015, then on Twitter-2017, in percent. A `-` is
# illegible in print, and not filled in from elsewhere. Rows of multimodal systems that the paper copies from other
# work, and that amia does not implement, are left out.
_TABLE_1 = """
bilstm-crf       text      68.14 61.09 64.42  79.42 73.43 76.31
cnn-bilstm-crf   text      66.24 68.09 67.15  80.00 78.76 79.37
hbilstm-crf      text      70.32 68.05 69.17  82.69 78.16 80.17
bert             text      68.30 74.61 71.32  82.19 83.72 82.95
bert-crf         text      69.22 74.59 71.81  83.32 83.57 83.44
umt              original  70.24 75.67 72.86  -     -     84.69
maf              original  70.98 75.05 72.96  85.08 84.83 84.95
bert-resnet-crf  original  73.17 75.98 74.55  86.11 86.75 86.43
umt              adaptive  73.48 73.68 73.58  85.16 85.79 85.47
maf              adaptive  73.33 73.95 73.64  85.09 86.16 85.62
bert-resnet-crf  adaptive  75.08 76.21 75.62  87.23 88.00 87.62
"""

_TABLE_2 = """
umt              adaptive     73.48 73.68 73.58  85.16 85.79 85.47
umt              cosine       71.91 74.84 73.37  85.11 85.05 85.08
umt              original     70.24 75.67 72.86  84.07 85.21 84.64
umt              synthesized  71.44 75.67 73.49  85.08 84.31 85.06
umt              fixed-0.7    70.01 75.16 72.50  82.82 86.69 84.71
umt              fixed-0.5    72.01 74.02 73.00  83.06 86.67 84.83
umt              fixed-0.3    71.51 74.42 72.94  84.94 84.81 84.87
maf              adaptive     73.33 73.95 73.64  85.09 86.16 85.62
maf              cosine       73.31 75.25 73.28  85.14 85.64 85.39
maf              original     70.98 75.05 72.96  85.08 84.83 84.95
maf              synthesized  70.68 74.62 72.65  83.35 86.23 84.74
maf              fixed-0.7    70.11 75.09 72.58  83.81 85.89 84.84
maf              fixed-0.5    70.39 75.17 72.70  82.79 87.29 84.98
maf              fixed-0.3    71.42 74.99 73.16  84.66 85.58 85.12
bert-resnet-crf  adaptive     75.08 76.21 75.62  87.23 88.00 87.62
bert-resnet-crf  cosine       74.59 75.89 75.24  87.04 87.50 87.26
bert-resnet-crf  original     73.17 75.98 74.55  86.11 86.75 86.43
bert-resnet-crf  synthesized  73.71 76.27 74.97  85.86 88.49 87.16
bert-resnet-crf  fixed-0.7    74.37 74.85 74.61  86.73 86.60 86.67
bert-resnet-crf  fixed-0.5    74.03 75.00 74.51  86.87 86.68 86.77
bert-resnet-crf  fixed-0.3    74.91 74.97 74.94  86.10 87.56 86.83
"""

_MISMATCHED = """
umt              original     70.73 73.75 72.21  82.32 85.89 84.07
umt              synthesized  70.87 74.48 72.63  84.59 84.53 84.56
umt              adaptive     70.06 75.49 72.68  83.38 86.20 84.76
maf              original     70.52 74.12 72.28  83.61 84.65 84.13
maf              synthesized  71.10 73.84 72.76  83.43 85.89 84.64
maf              adaptive     70.77 75.16 72.86  83.56 85.89 84.71
bert-resnet-crf  original     73.21 75.49 74.33  85.85 86.51 86.18
bert-resnet-crf  synthesized  72.80 76.36 74.54  86.51 86.90 86.71
bert-resnet-crf  adaptive     74.00 76.66 74.82  86.98 86.81 86.90
"""

_MATCHED = """
umt              original     72.87 76.04 74.42  85.53 86.16 85.84
umt              synthesized  73.13 76.04 74.54  85.25 86.16 85.70
umt              adaptive     73.07 76.32 74.66  86.05 85.94 85.98
maf              original     74.16 75.08 74.55  84.83 86.53 85.67
maf              synthesized  73.36 75.77 74.51  84.95 86.53 85.73
maf              adaptive     73.59 75.86 74.71  85.88 85.71 85.78
bert-resnet-crf  original     73.21 75.49 74.33  85.78 88.82 87.23
bert-resnet-crf  synthesized  74.00 76.66 74.48  87.84 87.19 87.51
bert-resnet-crf  adaptive     74.19 74.81 74.50  86.84 88.45 87.64
"""

REPORTED_ROWS = {
    ("table1", "all"): _TABLE_1,
    ("table2", "all"): _TABLE_2,
    ("table3", "mismatched"): _MISMATCHED,
    ("table3", "matched"): _MATCHED,
}
"""Rows by table and part of the test posts."""

_ScoreKey = tuple[str, str, str, str, str]
"""Table, data set, recognizer, arm, part."""


def _parse_scores() -> dict[_ScoreKey, ReportedScore]:
    rows: dict[_ScoreKey, list[float | None]] = {
        (table, dataset, recognizer, arm, part): [None if number == "-" else float(number) for number in numbers]
        for (table, part), text in REPORTED_ROWS.items()
        for recognizer, arm, *both in map(str.split, text.strip().splitlines())
        for dataset, numbers in zip(DATASETS, (both[:3], both[3:]), strict=True)
    }
    f1 = {key: numbers[2] for key, numbers in rows.items() if numbers[2] is not None}
    return {
        key: ReportedScore(
            precision,
            recall,
            f1[key],
            inconsistency="; ".join(_find_inconsistencies(key, rows[key], f1)) or None,
            copied=key[2] in LSTM_SYSTEMS,
        )
        for key, (precision, recall, _) in rows.items()
    }


def _find_inconsistencies(key: _ScoreKey, numbers: list[float | None], f1: Mapping[_ScoreKey, float]) -> Iterator[str]:
    """Yield contradictions of a row beyond what rounding or a mean over several runs could explain."""
    precision, recall, _ = numbers
    if precision is not None and recall is not None:
        expected = 2 * precision * recall / (precision + recall)
        if abs(expected - f1[key]) > 0.1:
            yield f"its P and R give an F1 of {expected:.2f}"
    table, dataset, recognizer, arm, part = key
    other_f1 = f1.get(("table2" if table == "table1" else "table1", dataset, recognizer, arm, part), f1[key])
    if other_f1 != f1[key]:
        yield f"another table reports {other_f1:.2f}"
    part_keys = [("table3", dataset, recognizer, arm, name) for name in ("mismatched", "matched")]
    if all(part_key in f1 for part_key in part_keys):
        overall, low, high = f1["table2", dataset, recognizer, arm, "all"], *sorted(f1[name] for name in part_keys)
        if not low - 0.01 <= overall <= high + 0.01:
            yield f"F1 on all posts ({overall:.2f}) is outside the range of Table 3 ({low:.2f} to {high:.2f})"


_SCORES = _parse_scores()
