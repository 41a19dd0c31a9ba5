"""The disk fills up in the middle of a job: it ends with the reason, and goes on when there is room."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.helpers.drivers import same, shards


@pytest.mark.promise(8)
def test_a_job_on_a_disk_that_fills_up_ends_clearly_and_goes_on_when_there_is_room(
    amia: Callable[..., tuple[int, str, str]],
    small_disk: Callable[[str], Path],
    ingested: Path,
    corpus: Path,
    small_words: Sequence[str],
) -> None:
    posts = sum(file.stat().st_size for file in (ingested / "posts").iterdir())
    disk = small_disk(f"size={posts // 4096 * 4096 * 2 // 3}")
    command = ("ingest", corpus, "--run", disk / "run", "--config", "demo", *small_words, "max_failed=1", "--json")
    code, said, complained = amia(*command)
    assert (code, said) == (8, "")
    assert "could not be written to" in complained
    assert f"{disk}/run" in complained
    assert "The disk is full: make room and start the same command again; what is published stays" in complained
    assert len(complained.splitlines()) == 1
    whole = shards(disk / "run", "posts")
    assert 0 < len(whole) < 10
    for name in whole:
        assert (disk / "run" / "posts" / name).read_bytes() == (ingested / "posts" / name).read_bytes()
    subprocess.run(["mount", "-o", f"remount,size={4 * posts}", str(disk)], check=True)
    code, said, complained = amia(*command)
    assert (code, complained) == (0, "")
    same(disk / "run", ingested, "posts")
