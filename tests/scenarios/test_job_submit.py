"""`ray job submit` from the repository to a cluster with token authentication, and a command attached to it."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest
from ray._private.runtime_env.packaging import create_package

from tests.helpers.drivers import assert_equal_files, finish, start
from tests.helpers.head import Head, started_head
from tests.helpers.paths import ROOT


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with started_head(token=secrets.token_hex(32)) as running_head:
        yield running_head


def submit_arguments(head: Head, run: Path, small_words: Sequence[str]) -> tuple[str, ...]:
    job = ("python", "-m", "ray_jobs", "augment", "--run", str(run), "--config", "demo", "--accept-mixture")
    arms = ("--arm", "adaptive", "--arm", "original")
    return ("job", "submit", "--address", head.dashboard, "--working-dir", ".", "--", *job, *arms, *small_words)


@pytest.mark.promise(36)
@pytest.mark.parametrize(
    ("env", "error"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "Unauthorized: Missing authentication token"),
        ({"RAY_AUTH_TOKEN": "of another cluster"}, "Forbidden: Invalid authentication token"),
    ],
    ids=["none", "another"],
)
def test_job_without_token_is_refused(
    head: Head, tmp_path: Path, small_words: Sequence[str], env: dict[str, str], error: str
) -> None:
    result = head.ray(*submit_arguments(head, tmp_path / "run", small_words), **env)
    assert result.returncode != 0
    assert error in result.stdout + result.stderr
    assert not (tmp_path / "run").exists()


def test_submitted_job_equals_local_job(
    head: Head, augmented: Path, copied: Callable[..., Path], small_words: Sequence[str]
) -> None:
    run = copied(augmented, leaving_out=["augmented", "log"])  # its driver compares the weights with those of the run
    done = head.ray(*submit_arguments(head, run, small_words))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "96 posts in, 96 out" in done.stdout
    assert "succeeded" in done.stdout
    assert (head.folder / "token").read_text() not in done.stdout + done.stderr
    assert_equal_files(run, augmented)


def test_upload_is_small_and_has_the_weights(tmp_path: Path) -> None:
    create_package(str(ROOT), tmp_path / "package.zip", include_gitignore=True)
    with ZipFile(tmp_path / "package.zip") as package:
        files = {info.filename: info.file_size for info in package.infolist() if not info.is_dir()}
    assert "amia/demo/weights/clip/model.safetensors" in files
    assert "ray_jobs/settings/presets/demo.yaml" in files
    assert sum(files.values()) < 20_000_000
    assert {name.partition("/")[0] for name in files} & {"tests", ".venv", ".git", "runs"} == set()


@pytest.mark.slow  # `test_gpus.py` tests it in this process
def test_missing_gpus_are_refused_with_advice(
    head: Head, ingested: Path, copied: Callable[..., Path], small_words: Sequence[str]
) -> None:
    words = ("augment", "--run", str(copied(ingested)), "--config", "demo", "--accept-mixture", *small_words)
    token = {name: head.env[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")}
    code, stdout, stderr = finish(
        start(*words, "pools.embed.gpus=1", "wait_for_gpus_s=2", RAY_ADDRESS=head.address, **token)
    )
    assert code == 7, stderr
    assert stderr.startswith("error: ")
    assert len(stderr.splitlines()) == 1
    for part in ("1 GPU needed, 0 available", "after 2 s", "pools.embed.gpus", "wait_for_gpus_s"):
        assert part in stderr
    assert "waiting for the cluster" in stdout
