"""`ray job submit` and `amia submit` to a cluster with token authentication, and a command attached to it."""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest
from ray._private.runtime_env.packaging import create_package

from ray_jobs.jobs.submit import ENV_VARS
from tests.helpers.drivers import assert_equal_files, finish, start
from tests.helpers.head import Head, started_head
from tests.helpers.paths import ROOT
from tests.helpers.private_files import private_files, write_private_files


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


def test_amia_submit_uploads_its_code_and_returns_the_exit_code(head: Head, tmp_path: Path) -> None:
    write_private_files(tmp_path)
    words = ("submit", "--address", head.dashboard, "--json", "--", "augment", "--run", str(tmp_path / "run"))
    process = subprocess.run(
        [sys.executable, "-m", "ray_jobs", *words],
        cwd=tmp_path,
        env={**head.env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert process.returncode == 8, process.stderr  # the run has no posts; `ray job submit` would return 1
    result = json.loads(process.stdout)
    assert (result["status"], result["exit_code"]) == ("FAILED", 8)
    assert "amia ingest" in process.stderr, "the output of the job is shown"
    # Other tests of this head may have uploaded packages, too: this one is the last.
    *_, folder = sorted(
        head.folder.glob("session_2*/runtime_resources/working_dir_files/_ray_pkg_*/"),
        key=lambda path: path.stat().st_mtime,
    )
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert "ray_jobs/cli/submit.py" in files
    assert private_files(files - {name for name in files if name.endswith(".pyc")}) == set()
    assert {name.partition("/")[0] for name in files} == {"amia", "ray_jobs", "cluster"}


@pytest.mark.slow  # the job takes longer to end than Ray would wait by default
def test_stopped_job_has_time_to_end(head: Head) -> None:
    code = (
        "import signal, sys, time\n"
        "def stop(*_): time.sleep(6); print('ended in order', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('ready', flush=True)\n"
        "time.sleep(100)"
    )
    environment = ("--runtime-env-json", json.dumps({"env_vars": ENV_VARS}))
    job, address = ("--submission-id", "graceful"), ("--address", head.dashboard)
    head.ray("job", "submit", *address, *job, "--no-wait", *environment, "--", "python", "-c", code)
    deadline = time.monotonic() + 60
    while "ready" not in head.ray("job", "logs", *address, "graceful").stdout:
        assert time.monotonic() < deadline
    head.ray("job", "stop", *address, "graceful")
    assert "ended in order" in head.ray("job", "logs", *address, "graceful").stdout


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
