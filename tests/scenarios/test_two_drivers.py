"""Two people start the same command on one run at once, each on a Ray of their own: one run comes out."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.drivers import contents, finish, same, start


@pytest.mark.promise(2)
@pytest.mark.slow  # `test_overlap.py` has it with a stage that needs no model
def test_two_drivers_make_one_run(augmented: Path, corpus: Path, tmp_path: Path, small_words: Sequence[str]) -> None:
    run = tmp_path / "run"
    words = ("--run", str(run), "--config", "demo", *small_words)
    for command in (
        ("ingest", str(corpus), *words, "max_failed=1"),
        ("augment", *words, "--accept-mixture", "--arm", "adaptive", "--arm", "original"),
    ):
        for code, said, complained in map(finish, [start(*command), start(*command)]):
            assert (code, complained) == (0, "")
            assert "96 posts" in said
    same(run, augmented)
    assert not [key for key in contents(run) if "#" in key]
    assert not (run / "scratch").exists()
