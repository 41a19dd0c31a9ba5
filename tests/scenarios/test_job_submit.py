"""On a cluster: `ray job submit` from the repository, and a command that is attached to it by RAY_ADDRESS."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest
from ray._private.runtime_env.packaging import create_package

from tests.helpers.drivers import finish, same, start
from tests.helpers.head import Head, started_head
from tests.helpers.paths import ROOT


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with started_head() as one:
        yield one


def test_a_submitted_job_writes_what_a_local_one_does(
    head: Head, augmented: Path, copied: Callable[..., Path], small_words: Sequence[str]
) -> None:
    run = copied(augmented, leaving_out=["synthesized", "augmented", "log"])
    job = ("python", "-m", "ray_jobs", "augment", "--run", str(run), "--config", "demo", "--accept-mixture")
    arms = ("--arm", "adaptive", "--arm", "original")
    done = head.ray(
        *("job", "submit", "--address", head.dashboard, "--working-dir", ".", "--", *job, *arms, *small_words)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "96 posts in, 96 out" in done.stdout
    assert "succeeded" in done.stdout
    same(run, augmented)


def test_what_is_uploaded_is_the_package_with_its_weights_and_little_else(tmp_path: Path) -> None:
    create_package(str(ROOT), tmp_path / "package.zip", include_gitignore=True)
    with ZipFile(tmp_path / "package.zip") as package:
        files = {each.filename: each.file_size for each in package.infolist() if not each.is_dir()}
    assert "amia/demo/weights/clip/model.safetensors" in files
    assert "ray_jobs/settings/presets/demo.yaml" in files
    assert sum(files.values()) < 20_000_000
    assert {name.partition("/")[0] for name in files} & {"tests", ".venv", ".git", "runs"} == set()


@pytest.mark.slow  # `test_gpus.py` has it in this process
def test_gpus_that_do_not_come_end_in_an_error_that_says_what_to_change(
    head: Head, ingested: Path, copied: Callable[..., Path], small_words: Sequence[str]
) -> None:
    words = ("augment", "--run", str(copied(ingested)), "--config", "demo", "--accept-mixture", *small_words)
    code, said, complained = finish(
        start(*words, "pools.embed.gpus=1", "wait_for_gpus_s=2", RAY_ADDRESS=head.address, RAY_AUTH_MODE="disabled")
    )
    assert code == 7, complained
    assert complained.startswith("error: ")
    assert len(complained.splitlines()) == 1
    for told in ("1 GPU needed, 0 there", "after 2 s", "pools.embed.gpus", "wait_for_gpus_s"):
        assert told in complained
    assert "waiting for the cluster" in said
