"""What is told before a job and between its parts: the dry run and the status, as tables and as JSON."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ray_jobs.cli.augment import print_planned_stages
from ray_jobs.cli.console import print_lines
from ray_jobs.cli.status import print_status
from ray_jobs.jobs.execution_plan import plan_augment
from ray_jobs.jobs.status import status
from ray_jobs.runtime.console import console
from ray_jobs.settings.job import Settings, load_settings


def stages(run: Path, settings: Settings, *arms: str, **more: object) -> list[tuple[int, str, int]]:
    steps = plan_augment(str(run), settings, arms or ("adaptive",), **more)  # type: ignore[arg-type]  # a test's words
    return [(step.execution, step.stage, step.shards) for step in steps]


def test_a_corpus_to_fit_on_is_embedded_before_it_is_compared(ingested: Path, small: Callable[..., Settings]) -> None:
    fit = small("mixture.min_losses=10")
    assert stages(ingested, fit) == [
        (1, "embeddings", 10),  # the bank is most of it
        (2, "scores", 10),
        (3, "synthesized", 10),
        (3, "augmented/adaptive", 10),
    ]
    assert stages(ingested, small("mixture.min_losses=10", "triplet.bank=8"))[:3] == [
        (1, "embeddings", 1),
        (2, "embeddings", 9),
        (2, "scores", 10),
    ]


def test_a_mixture_that_is_given_or_shipped_takes_one_execution_less(
    ingested: Path, small: Callable[..., Settings]
) -> None:
    with_it = [
        (1, "embeddings", 10),
        (1, "scores", 10),
        (2, "synthesized", 10),
        (2, "augmented/adaptive", 10),
    ]
    assert stages(ingested, small("mixture.min_losses=10"), mixture="elsewhere") == with_it
    assert stages(ingested, small("mixture.min_losses=1000")) == with_it
    assert stages(ingested, small("mixture.min_losses=1000"), accept_mixture=True)[-1][0] == 3


def test_an_arm_without_synthesis_draws_nothing(ingested: Path, small: Callable[..., Settings]) -> None:
    assert "synthesized" not in {stage for _, stage, _ in stages(ingested, small(), "original")}


def test_arms_of_two_measures_are_drawn_for_once(ingested: Path, small: Callable[..., Settings]) -> None:
    steps = stages(ingested, small(), "adaptive", "adaptive-batch")
    assert [stage for _, stage, _ in steps].count("synthesized") == 1
    assert steps[-2:] == [(steps[-3][0] + 1, "scores-batch", 10), (steps[-3][0] + 2, "augmented/adaptive-batch", 10)]


def test_what_is_published_is_not_left_to_do(augmented: Path, small: Callable[..., Settings]) -> None:
    assert {shards for _, _, shards in stages(augmented, small(), "adaptive", "original")} == {0}
    assert stages(augmented, small(), "adaptive", "cosine")[-1][1:] == ("augmented/cosine", 10)


@pytest.mark.parametrize("width", [40, 80, 140])
def test_tables_are_whole_at_any_width(
    ingested: Path, augmented: Path, small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    seen = io.StringIO()
    monkeypatch.setattr(console, "_file", seen)
    monkeypatch.setattr(console, "_width", width)
    arms = ("adaptive", "cosine-minmax")
    settings = load_settings("default")
    print_planned_stages(plan_augment(str(ingested), settings, arms), settings, json=False)
    print_status(status(str(augmented)), json=False)
    lines = seen.getvalue().splitlines()
    assert not [line for line in lines if "…" in line]
    table = lines[: lines.index(next(line for line in lines if line.startswith("Left to do")))]
    assert {len(line) for line in table} == {len(table[0])}
    assert len(table[0]) <= 80
    assert any("augmented/cosine-minmax" in line and "1-256" in line for line in table)
    assert any(line.startswith("augmented/adaptive") and line.endswith("finished") for line in lines)


def test_the_plan_as_json_is_one_object(
    ingested: Path, small: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    print_planned_stages(plan_augment(str(ingested), small(), ["adaptive"]), small(), json=True)
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert steps[-1]["stage"] == "augmented/adaptive"
    assert steps[-1]["pool"]["max"] == 1
    assert all(step["megabytes"] > 0 for step in steps)


def test_folders_are_printed_as_they_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = io.StringIO()
    monkeypatch.setattr(console, "_file", seen)
    print_lines(["/runs/[bold]x[/bold]/:tada:"])
    assert seen.getvalue() == "/runs/[bold]x[/bold]/:tada:\n"


def test_status_tells_a_half_finished_run_from_a_finished_one(augmented: Path, copied: Callable[..., Path]) -> None:
    run = copied(augmented)
    (run / "augmented" / "adaptive" / "manifest.json").unlink()
    gone = sorted((run / "synthesized").glob("*.parquet"))[0]
    gone.unlink()
    about = status(str(run))
    drawn = about["stages"]["synthesized"]
    assert (drawn["shards"], drawn["of_shards"]) == (9, 10)
    assert drawn["posts"] < about["posts"] == 96
    assert sum(about["stages"]["posts"]["counts"].values()) == 96
    assert about["finished"] == ["original"]
    assert about["mixture"]


def test_status_of_nothing_makes_nothing(tmp_path: Path) -> None:
    assert status(str(tmp_path / "none"))["stages"] == {}
    assert not (tmp_path / "none").exists()


def test_status_waits_for_neither_ray_nor_torch(ingested: Path) -> None:
    code = (
        f"import sys; sys.argv = ['amia', 'status', {str(ingested)!r}]\nfrom ray_jobs.cli.main import main\n"
        "try: main()\nexcept SystemExit: print(sorted({'ray', 'torch', 'sklearn'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "96 posts" in said
    assert said.splitlines()[-1] == "[]"
