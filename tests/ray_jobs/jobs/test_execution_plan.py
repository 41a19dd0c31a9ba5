"""The executions of `amia augment`, and the remaining work that `--dry-run` shows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from amia.errors import SettingsError
from ray_jobs.jobs.execution_plan import execution_plan, plan_augment
from ray_jobs.settings.job import Settings


def planned(run: Path, settings: Settings, *arms: str, **options: object) -> list[tuple[int, str, int]]:
    """Return execution, stage and remaining shards of each planned stage."""
    stages = plan_augment(str(run), settings, arms or ("adaptive",), **options)  # type: ignore[arg-type]  # keywords
    return [(stage.execution, stage.stage, stage.shards) for stage in stages]


def test_bank_is_embedded_before_scoring(ingested: Path, small: Callable[..., Settings]) -> None:
    assert planned(ingested, small("mixture.min_losses=10")) == [
        (1, "embeddings", 10),  # the bank is most of the corpus
        (2, "scores", 10),
        (3, "synthesized", 10),
        (3, "augmented/adaptive", 10),
    ]
    assert planned(ingested, small("mixture.min_losses=10", "triplet.bank=8"))[:3] == [
        (1, "embeddings", 1),
        (2, "embeddings", 9),
        (2, "scores", 10),
    ]


def test_mixture_from_elsewhere_saves_an_execution(ingested: Path, small: Callable[..., Settings]) -> None:
    expected = [
        (1, "embeddings", 10),
        (1, "scores", 10),
        (2, "synthesized", 10),
        (2, "augmented/adaptive", 10),
    ]
    assert planned(ingested, small("mixture.min_losses=10"), mixture="elsewhere") == expected
    assert planned(ingested, small("mixture.min_losses=1000")) == expected, "the mixture that ships with the preset"
    assert planned(ingested, small("mixture.min_losses=1000"), accept_mixture=True)[-1][0] == 3


def test_arm_without_synthesis(ingested: Path, small: Callable[..., Settings]) -> None:
    assert "synthesized" not in {stage for _, stage, _ in planned(ingested, small(), "original")}


def test_published_shards_are_not_remaining(augmented: Path, small: Callable[..., Settings]) -> None:
    assert {shards for _, _, shards in planned(augmented, small(), "adaptive", "original")} == {0}
    assert planned(augmented, small(), "adaptive", "cosine")[-1][1:] == ("augmented/cosine", 10)


@pytest.mark.parametrize(
    ("bank_share", "parts"),
    [
        (None, [[("embeddings", "all"), ("scores", "all")]]),
        (0.5, [[("embeddings", "all")], [("scores", "all")]]),
        (0.49, [[("embeddings", "bank")], [("embeddings", "rest"), ("scores", "all")]]),
    ],
)
def test_executions_by_share_of_the_bank(bank_share: float | None, parts: list[list[tuple[str, str]]]) -> None:
    plan = execution_plan(["original", "original"], has_images=True, bank_share=bank_share)
    executions = [[(stage.folder, stage.part) for stage in execution] for execution in plan.executions]
    assert executions == [*parts, [("augmented/original", "all")]]


@pytest.mark.parametrize("arm", ["adaptive", "two-sided"])
def test_posts_without_images_are_not_scored(arm: str) -> None:
    plan = execution_plan([arm], has_images=False, bank_share=1.0)
    assert [[stage.folder for stage in execution] for execution in plan.executions] == [
        ["synthesized", f"augmented/{arm}"]
    ]


@pytest.mark.parametrize("arm", ["two-sided", "two-sided-shuffled"])
def test_synthesized_images_are_scored_after_the_last_one(arm: str) -> None:
    plan = execution_plan(["adaptive", arm], has_images=True, bank_share=None)
    assert [[(stage.folder, stage.pool) for stage in execution] for execution in plan.executions] == [
        [("embeddings", "embed"), ("scores", "score")],
        [("synthesized", "synthesize")],
        [("synthesized_scores", "embed"), ("augmented/adaptive", "mix"), (f"augmented/{arm}", "mix")],
    ]


@pytest.mark.parametrize(("arm", "negatives"), [("adaptive-batch", "batch"), ("adaptive-expected", "expected")])
def test_removed_arm_names_the_setting(arm: str, negatives: str) -> None:
    with pytest.raises(SettingsError, match=rf"{arm}.*no longer exists.*triplet\.negatives={negatives}"):
        execution_plan([arm], has_images=True, bank_share=1.0)
