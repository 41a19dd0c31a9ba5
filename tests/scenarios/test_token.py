"""On a cluster that wants a token: who has it submits jobs, and nobody else does."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store
from tests.helpers.head import Head, started_head
from tests.helpers.paths import TWEETS


@pytest.fixture(scope="module")
def guarded() -> Iterator[Head]:
    with started_head(token=secrets.token_hex(32)) as one:
        yield one


def submission(head: Head, run: Path) -> tuple[str, ...]:
    job = ("python", "-m", "ray_jobs", "ingest", str(TWEETS), "--run", str(run), "--config", "demo", "max_failed=1")
    return ("job", "submit", "--address", head.dashboard, "--working-dir", ".", "--", *job)


@pytest.mark.promise(36)
@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "Unauthorized: Missing authentication token"),
        ({"RAY_AUTH_TOKEN": "of another cluster"}, "Forbidden: Invalid authentication token"),
    ],
    ids=["none", "another"],
)
def test_without_the_token_nothing_is_submitted(guarded: Head, tmp_path: Path, env: dict[str, str], said: str) -> None:
    done = guarded.ray(*submission(guarded, tmp_path / "run"), **env)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
    assert not (tmp_path / "run").exists()


def test_with_the_token_a_job_runs(guarded: Head, tmp_path: Path) -> None:
    done = guarded.ray(*submission(guarded, tmp_path / "run"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout
    assert (guarded.folder / "token").read_text() not in done.stdout + done.stderr
    plan = Plan.find(Store(tmp_path / "run"))
    assert plan is not None
    assert plan.total == 11
