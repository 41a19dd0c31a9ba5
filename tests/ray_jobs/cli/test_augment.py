"""Output of `amia augment --dry-run`, beside the table of `amia status`."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ray_jobs.cli.augment import print_planned_stages
from ray_jobs.cli.status import print_status
from ray_jobs.jobs.execution_plan import plan_augment
from ray_jobs.jobs.status import status
from ray_jobs.runtime.console import console
from ray_jobs.settings.job import Settings, load_settings


@pytest.mark.parametrize("width", [40, 80, 140])
def test_tables_are_not_truncated(ingested: Path, augmented: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    output = io.StringIO()
    monkeypatch.setattr(console, "_file", output)
    monkeypatch.setattr(console, "_width", width)
    settings = load_settings("default")
    stages = plan_augment(str(ingested), settings, ("adaptive", "cosine-minmax"))
    print_planned_stages(stages, settings, json=False)
    print_status(status(str(augmented)), json=False)
    lines = output.getvalue().splitlines()
    assert not [line for line in lines if "…" in line]
    table = lines[: 1 + len(stages)]
    assert {len(line) for line in table} == {len(table[0])}
    assert len(table[0]) <= 80
    assert any("augmented/cosine-minmax" in line and "1-256" in line for line in table)
    assert any(line.startswith("augmented/adaptive") and line.endswith("finished") for line in lines)


def test_dry_run_as_json(ingested: Path, small: Callable[..., Settings], capsys: pytest.CaptureFixture[str]) -> None:
    print_planned_stages(plan_augment(str(ingested), small(), ["adaptive"]), small(), json=True)
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert steps[-1]["stage"] == "augmented/adaptive"
    assert steps[-1]["pool"]["max"] == 1
    assert all(step["megabytes"] > 0 for step in steps)
