"""On a cluster with token authentication, jobs can only be submitted with the token."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store
from tests.helpers.head import Head, started_head
from tests.helpers.paths import TWEETS


@pytest.fixture(scope="module")
def protected_head() -> Iterator[Head]:
    with started_head(token=secrets.token_hex(32)) as running_head:
        yield running_head


def submit_arguments(head: Head, run: Path) -> tuple[str, ...]:
    job = ("python", "-m", "ray_jobs", "ingest", str(TWEETS), "--run", str(run), "--config", "demo", "max_failed=1")
    return ("job", "submit", "--address", head.dashboard, "--working-dir", ".", "--", *job)


@pytest.mark.promise(36)
@pytest.mark.parametrize(
    ("env", "error"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "Unauthorized: Missing authentication token"),
        ({"RAY_AUTH_TOKEN": "of another cluster"}, "Forbidden: Invalid authentication token"),
    ],
    ids=["none", "another"],
)
def test_job_without_token_is_refused(protected_head: Head, tmp_path: Path, env: dict[str, str], error: str) -> None:
    result = protected_head.ray(*submit_arguments(protected_head, tmp_path / "run"), **env)
    assert result.returncode != 0
    assert error in result.stdout + result.stderr
    assert not (tmp_path / "run").exists()


def test_job_with_token_runs(protected_head: Head, tmp_path: Path) -> None:
    result = protected_head.ray(*submit_arguments(protected_head, tmp_path / "run"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "succeeded" in result.stdout
    assert (protected_head.folder / "token").read_text() not in result.stdout + result.stderr
    plan = Plan.find(Store(tmp_path / "run"))
    assert plan is not None
    assert plan.total == 11
