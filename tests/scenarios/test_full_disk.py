"""The disk fills up during a job: the job ends with the reason, and resumes once there is room."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.helpers.drivers import assert_equal_files, shards


@pytest.mark.promise(8)
@pytest.mark.usefixtures("in_this_process")  # `test_executor.py` has the same error in an actor
def test_job_resumes_after_a_full_disk(
    amia: Callable[..., tuple[int, str, str]],
    small_disk: Callable[[str], Path],
    ingested: Path,
    corpus: Path,
    small_words: Sequence[str],
) -> None:
    posts = sum(file.stat().st_size for file in (ingested / "posts").iterdir())
    disk = small_disk(f"size={posts // 4096 * 4096 * 2 // 3}")
    command = ("ingest", corpus, "--run", disk / "run", "--config", "demo", *small_words, "max_failed=1", "--json")
    code, stdout, stderr = amia(*command)
    assert (code, stdout) == (8, "")
    assert "could not be written to" in stderr
    assert f"{disk}/run" in stderr
    assert "The disk is full: make room and start the same command again; published files stay" in stderr
    assert len(stderr.splitlines()) == 1
    published = shards(disk / "run", "posts")
    assert 0 < len(published) < 10
    for name in published:
        assert (disk / "run" / "posts" / name).read_bytes() == (ingested / "posts" / name).read_bytes()
    subprocess.run(["mount", "-o", f"remount,size={4 * posts}", str(disk)], check=True)
    code, stdout, stderr = amia(*command)
    assert (code, stderr) == (0, "")
    assert_equal_files(disk / "run", ingested, "posts")
