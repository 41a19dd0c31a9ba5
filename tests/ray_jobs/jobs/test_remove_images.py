"""Synthesized images that are in all arms can be removed: they are known as removed, and can be made again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amia.errors import RunError
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.gc import collect
from ray_jobs.jobs.report import report
from ray_jobs.jobs.retry import retry
from ray_jobs.jobs.status import status
from ray_jobs.settings.job import Settings
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store
from tests.helpers.drivers import assert_equal_files, read_files, shards
from tests.helpers.written_runs import WrittenRun

pytestmark = pytest.mark.usefixtures("local_stages")

Amia = Callable[..., tuple[int, str, str]]
KEPT = ("posts", "embeddings", "scores", "mixture")
AGAIN = "--arm adaptive --synthesize-again"


def card(run: Path, arm: str = "adaptive") -> str:
    return (run / "augmented" / arm / "README.md").read_text()


def test_gc_removes_images_of_mixed_arms_and_everyone_says_so(
    written: WrittenRun, copied: Callable[..., Path], amia: Amia
) -> None:
    run = copied(written.store.folder)
    before = read_files(run, *KEPT, "synthesized", "augmented")
    code, stdout, _ = amia("gc", run, "--synthesized", "--dry-run")
    assert (code, "synthesized images of mixed arms" in stdout) == (0, True)
    assert read_files(run, *KEPT, "synthesized", "augmented") == before
    code, stdout, _ = amia("gc", run, "--synthesized")
    assert code == 0
    assert "other published files are untouched" in stdout
    assert AGAIN in stdout
    removed = before.keys() - read_files(run, *KEPT, "synthesized", "augmented").keys()
    assert removed == {f"synthesized/{shard}.parquet" for shard in written.plan.shards}
    stage = status(str(run))["stages"]["synthesized"]
    assert (stage["shards"], stage["left"], stage["removed"]) == (0, 0, written.posts)
    assert f"images of {written.posts} posts removed" in amia("status", run)[1]
    assert AGAIN in card(run)
    assert "## Removed" not in card(run, "original")
    report(str(run))
    assert AGAIN in (run / "report.html").read_text()
    assert "were removed on purpose" in amia("gc", run)[1]
    assert collect(str(run), synthesized=True) == []
    with pytest.raises(RunError, match=r"a retry needs the synthesized images .* --synthesize-again"):
        retry(str(run), str(run.parent / "again"), written.settings)


def test_images_that_an_arm_still_needs_are_kept(written: WrittenRun, copied: Callable[..., Path]) -> None:
    run = copied(written.store.folder)
    (run / "augmented" / "adaptive" / "manifest.json").unlink()
    with pytest.raises(RunError, match="still needed: arm adaptive is not finished"):
        collect(str(run), synthesized=True)
    assert shards(run, "synthesized")


@pytest.mark.slow
def test_images_removed_by_augment_can_be_made_again(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], amia: Amia, small_words: Any
) -> None:
    run = copied(augmented, leaving_out=["synthesized", "augmented"])
    until_mixed, arms = small("synthesized.keep=until_mixed"), ("adaptive", "original")
    augment(str(run), until_mixed, arms=arms, accept_mixture=True, quiet=True)
    assert shards(run, "synthesized") == []
    before, expected = read_files(run, *KEPT, "augmented"), read_files(augmented, *KEPT, "augmented")
    cards = {key for key in before if before[key] != expected[key]}
    assert cards == {"augmented/adaptive/README.md"}, "manifests and shards do not depend on what is kept"
    augment(str(run), until_mixed, arms=arms, accept_mixture=True, quiet=True)  # finds nothing to do
    assert shards(run, "synthesized") == []
    words = ("augment", "--run", run, "--config", "demo", *small_words, "--accept-mixture")
    for extra in ((), ("--dry-run",)):
        code, _, stderr = amia(*words, "--arm", "cosine", *extra)
        assert (code, "--arm cosine --synthesize-again" in stderr) == (8, True)
    code, stdout, _ = amia(*words, "--arm", "cosine", "--synthesize-again", "--dry-run", "--json")
    planned = json.loads(stdout)
    assert {step["stage"]: step["shards"] for step in planned["steps"]}["synthesized"] == 10
    assert planned["megabytes_kept"]["until_mixed"] < planned["megabytes_kept"]["always"]
    augment(str(run), small(), arms=("cosine",), accept_mixture=True, synthesize_again=True, quiet=True)
    assert_equal_files(run, augmented, *KEPT, "synthesized", "augmented/adaptive", "augmented/original")
    augment(str(run), until_mixed, arms=("cosine",), accept_mixture=True, quiet=True)
    assert shards(run, "synthesized") == []


@pytest.mark.slow
def test_images_stay_until_the_arms_of_other_drivers_are_finished(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(augmented)
    (run / "augmented" / "cosine").mkdir()
    (run / "augmented" / "cosine" / "identity.json").write_bytes(b"{}")
    augment(str(run), small("synthesized.keep=until_mixed"), accept_mixture=True, quiet=True)
    assert len(shards(run, "synthesized")) == 10


@pytest.mark.parametrize("operation", range(3))
def test_an_interrupted_removal_is_completed(
    operation: int, written: WrittenRun, copied: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(written.store.folder)
    collect(str(expected := copied(written.store.folder)), synthesized=True)
    name = ("create", "replace", "remove")[operation]
    with monkeypatch.context() as patch:
        patch.setattr(Store, name, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            collect(str(run), synthesized=True)
    assert Plan.find(Store(run)) is not None
    collect(str(run), synthesized=True)
    assert_equal_files(run, expected, "synthesized", "augmented")
