"""The same command runs twice at once on one run, each with its own Ray: the result is one complete run."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.drivers import assert_equal_files, finish, read_files, start


@pytest.mark.promise(2)
@pytest.mark.slow  # `test_stage_actor.py` tests it with a stage without a model
def test_two_drivers_make_one_run(augmented: Path, corpus: Path, tmp_path: Path, small_words: Sequence[str]) -> None:
    run = tmp_path / "run"
    words = ("--run", str(run), "--config", "demo", *small_words)
    for command in (
        ("ingest", str(corpus), *words, "max_failed=1"),
        ("augment", *words, "--accept-mixture", "--arm", "adaptive", "--arm", "original"),
    ):
        for code, stdout, stderr in map(finish, [start(*command), start(*command)]):
            assert (code, stderr) == (0, "")
            assert "96 posts" in stdout
    assert_equal_files(run, augmented)
    assert not [key for key in read_files(run) if "#" in key]
    assert not (run / "scratch").exists()
