"""Tests of comparing the predictions of two recognizers, against a plain loop."""

from collections import Counter

from amia.mner.spans import lenient_spans
from ray_jobs.reporting.model_comparison import ModelComparison, compare_models, find_model_pairs, select_examples
from ray_jobs.reporting.models import read_models
from tests.helpers.written_runs import WrittenRun, seed_of, write_predictions


def compare_all(written: WrittenRun) -> list[ModelComparison]:
    pairs = find_model_pairs(read_models(written.store), "adaptive", list(written.store.list("predictions")))
    assert [(original.name, adaptive.name) for original, adaptive in pairs] == [
        (f"bert-crf-original-seed{seed}", f"bert-crf-adaptive-seed{seed}") for seed in (0, 1)
    ]
    return [result for pair in pairs if (result := compare_models(written.store, written.plan, pair, 0)) is not None]


def predict_again(written: WrittenRun, name: str) -> dict[str, list[str]]:
    arm = name.split("-")[2]
    return write_predictions(written, f"again-{name}", arm, wrong=0.4, seed=seed_of(name))


def test_equals_a_plain_loop(written: WrittenRun) -> None:
    for seed, comparison in enumerate(compare_all(written)):
        names = [f"bert-crf-{arm}-seed{seed}" for arm in ("original", "adaptive")]
        # The same seeds give the same predictions again.
        original, adaptive = (predict_again(written, name) for name in names)
        kinds: Counter[str] = Counter()
        by_id: dict[str, str] = {}
        for row in (row for row in written.rows if row["split"] == "test"):
            gold, before, after = (
                set(lenient_spans(tags)) for tags in (row["ner_tags"], original[row["id"]], adaptive[row["id"]])
            )
            if before != after:
                by_id[row["id"]] = "better" if after == gold else "worse" if before == gold else "both"
                kinds[by_id[row["id"]]] += 1
        counts = comparison.counts
        assert (counts.better, counts.worse, counts.both_wrong) == (kinds["better"], kinds["worse"], kinds["both"])
        assert min(kinds.values()) > 0
        assert counts.posts == 90
        assert {by_id[compared.post.id] for compared in comparison.better} == {"better"}
        assert {by_id[compared.post.id] for compared in comparison.worse} == {"worse"}


def test_examples_are_bounded_and_of_all_pairs(written: WrittenRun) -> None:
    better, worse = select_examples(compare_all(written))
    assert len(better) == len(worse) == 15
    for posts in (better, worse):
        assert {compared.recognizer for compared in posts} == {"bert-crf, seed 0", "bert-crf, seed 1"}
        assert len({compared.post.id for compared in posts}) == 15
