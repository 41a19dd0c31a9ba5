"""`amia retry`: what no failure has reached is taken over as it is, and the rest comes out as if nothing had failed."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amia.errors import CorpusError, IdentityError, RunError
from amia.synthesis.seeds import post_seed, redraw_seed
from ray_jobs.jobs.augment import AugmentResult, augment
from ray_jobs.jobs.ingest import ingest
from ray_jobs.jobs.retry import RetryResult, retry
from ray_jobs.settings.job import Settings
from ray_jobs.storage.shards import encode, read_metadata, read_shard
from ray_jobs.storage.status import RETRY_DIR
from ray_jobs.storage.store import Store
from tests.helpers.drivers import contents, same

Amia = Callable[..., tuple[int, str, str]]
Row = dict[str, Any]

ARMS = ("adaptive", "original", "constant")
SPOILT = "train-00002-of-00006"
"""The shard with two failed syntheses; none of its images is broken."""


@dataclass(frozen=True)
class Story:
    """A run in which posts failed, and its retry."""

    old: Path
    new: Path
    repaired: Path
    """The corpus with the broken images mended, but for one."""
    before: dict[str, bytes]
    """Every file of the old run before the retry."""
    told: RetryResult
    done: AugmentResult
    reached: set[str]
    """Shards in which an image was mended."""
    unmended: str
    """The id of the post whose image stays broken."""


def rows(run: Path, folder: str, shard: str) -> list[Row]:
    return pq.read_table(run / folder / f"{shard}.parquet").to_pylist()


def spoil(run: Path, shard: str, failures: dict[int, str]) -> None:
    """Publish a synthesized shard as it would be had some posts failed: what makes the generator fail is a GPU."""
    store, key = Store(run), f"synthesized/{shard}.parquet"
    table, told = read_shard(store, key), read_metadata(store, key)
    changed = table.to_pylist()
    for row, reason in failures.items():
        first = changed[row]["seed"]
        # After two redraws, as the preset has them; memory runs out before anything is drawn.
        last = first if reason == "out_of_memory" else redraw_seed(first, 2)
        changed[row] |= {"image": None, "synthesis_status": f"failed({reason})", "seed": last}
    counts = Counter(f"synthesis={row['synthesis_status']}" for row in changed)
    table = pa.Table.from_pylist(changed, table.schema.remove_metadata())
    data, _ = encode(table, stage="synthesized", identity=told.identity, counts=counts, extra={"redraws": 4})
    (run / key).unlink()
    store.create(key, data)


@pytest.fixture(scope="module")
def story(
    augmented: Path, corpus: Path, small: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Story:
    """With simulated failures of synthesis: 4 broken images of which 3 are mended, a black image, a refused one,
    and one that did not fit the memory.
    """
    folder = tmp_path_factory.mktemp("retry")
    old, new, repaired = folder / "old", folder / "new", folder / "repaired"
    shutil.copytree(augmented, old, ignore=shutil.ignore_patterns("augmented", "log"))
    shutil.copytree(corpus, repaired)
    spoil(old, SPOILT, {2: "black", 5: "refused", 7: "out_of_memory"})
    augment(str(old), small(), arms=ARMS, accept_mixture=True, quiet=True)
    posts = [row for file in sorted((old / "posts").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    broken = [row for row in posts if row["image_status"].startswith("bad_image")]
    good = [row["image"]["bytes"] for row in posts if row["image_status"] == "ok"]
    *mended, unmended = broken
    for row, data in zip(mended, good, strict=False):
        (repaired / "images" / row["image"]["path"]).write_bytes(data)
    ids = {row["id"] for row in mended}
    reached = {
        file.stem
        for file in (old / "posts").glob("*.parquet")
        if ids & set(pq.read_table(file, columns=["id"])["id"].to_pylist())
    }
    assert len(broken) == 4
    assert SPOILT not in reached
    before = contents(old)
    told = retry(str(old), str(new), small(), images=str(repaired / "images"), quiet=True)
    done = augment(str(new), small(), arms=ARMS, accept_mixture=True, quiet=True)
    return Story(old, new, repaired, before, told, done, reached, unmended["id"])


def test_the_old_run_is_not_changed(story: Story) -> None:
    assert contents(story.old) == story.before


def test_every_shard_without_a_failure_is_the_old_one(story: Story) -> None:
    makes_again = {
        "posts": story.reached,
        "embeddings": story.reached,
        "scores": story.reached,
        "synthesized": {SPOILT},
        "augmented/adaptive": {*story.reached, SPOILT},
        "augmented/original": story.reached,
    }
    for folder, again in makes_again.items():
        old, new = contents(story.old, folder), contents(story.new, folder)
        assert old.keys() == new.keys()
        differ = {Path(key).stem for key in old if old[key] != new[key]} - {"manifest", "README"}
        assert differ == again, folder
    same(story.old, story.new, "mixture")
    for name in ("plan.json", "posts/identity.json", "augmented/adaptive/identity.json", "scores/identity.json"):
        assert (story.old / name).read_bytes() == (story.new / name).read_bytes()
    inodes = [(run / "posts" / f"{SPOILT}.parquet").stat().st_ino for run in (story.old, story.new)]
    assert inodes[0] == inodes[1], "on one disk nothing needs to be copied"


def test_every_post_comes_out_once_with_what_was_mended(story: Story) -> None:
    assert {arm: counts.total() for arm, counts in story.done.counts.items()} == dict.fromkeys(ARMS, 96)
    images = Counter(status for status in story.done.counts["original"].elements())
    assert sum(count for status, count in images.items() if "bad_image" in status) == 1
    [(_, (before, after))] = [each for each in story.told.images.items() if each[1][1]]
    assert after == 1
    assert before >= 1
    assert sum(before for before, _ in story.told.images.values()) == 4
    assert sum(after for _, after in story.told.images.values()) == 1
    assert (story.told.redrawn, story.told.refused) == (2, 1)
    assert story.told.stages["synthesized"] == 9
    assert story.told.stages["augmented/constant"] == 0, "its ratio is the mean over all posts"
    left = next(
        row
        for file in (story.new / "posts").glob("*.parquet")
        for row in pq.read_table(file).to_pylist()
        if row["id"] == story.unmended
    )
    assert left["image_status"].startswith("bad_image(")
    assert left["image"]["bytes"] is None


def test_a_failed_picture_is_drawn_from_the_next_seed_and_its_neighbors_stay(story: Story) -> None:
    old, new = (rows(run, "synthesized", SPOILT) for run in (story.old, story.new))
    assert [row["id"] for row in old] == [row["id"] for row in new]
    assert [number for number, (one, other) in enumerate(zip(old, new, strict=True)) if one != other] == [2, 7]
    assert [new[row]["synthesis_status"] for row in (2, 5, 7)] == ["ok", "failed(refused)", "ok"]
    tried = post_seed(0, old[2]["id"])
    assert old[2]["seed"] == redraw_seed(tried, 2)
    assert new[2]["seed"] == redraw_seed(old[2]["seed"], 1)
    assert new[2]["image"]
    assert new[7]["image"]
    assert new[7]["seed"] == old[7]["seed"] == post_seed(0, old[7]["id"]), "nothing was wrong with that seed"
    mixed = rows(story.new, "augmented/adaptive", SPOILT)
    assert mixed[2]["synthesis_status"] == "ok"
    assert mixed[2]["seed"] == new[2]["seed"]


def test_posts_are_those_of_the_repaired_corpus(
    story: Story, cluster: None, small: Callable[..., Settings], tmp_path: Path
) -> None:
    ingest(str(story.repaired), str(tmp_path / "run"), small("max_failed=1"), quiet=True)
    same(tmp_path / "run", story.new, "posts")


@pytest.mark.slow  # a whole run
def test_all_of_it_is_a_run_of_the_repaired_corpus_with_the_old_mixture(
    story: Story, cluster: None, small: Callable[..., Settings], tmp_path: Path
) -> None:
    """Up to the images that failed: a run from the beginning draws those of simulated failures at the first try."""
    ingest(str(story.repaired), str(tmp_path / "run"), small("max_failed=1"), quiet=True)
    augment(str(tmp_path / "run"), small(), arms=ARMS, mixture=str(story.old), quiet=True)
    same(tmp_path / "run", story.new, "posts", "embeddings", "scores", "augmented/original")
    for folder in ("synthesized", "augmented/adaptive", "augmented/constant"):
        whole, mended = contents(tmp_path / "run", folder), contents(story.new, folder)
        assert whole.keys() == mended.keys()
        differ = {key for key in whole if whole[key] != mended[key]}
        assert {Path(key).stem for key in differ} <= {SPOILT, "manifest", "README"}
    one, other = (rows(run, "augmented/adaptive", SPOILT) for run in (tmp_path / "run", story.new))
    assert [number for number, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]] == [2, 5]


def test_again_nothing_is_done_twice(story: Story, small: Callable[..., Settings]) -> None:
    before, logs = contents(story.new), sorted((story.new / "log").iterdir())
    told = retry(str(story.old), str(story.new), small(), images=str(story.repaired / "images"), quiet=True)
    assert told == story.told
    assert contents(story.new) == before
    assert sorted((story.new / "log").iterdir()) == logs


def test_broken_images_whose_folder_is_not_here_are_no_reason_to_begin(
    story: Story, small: Callable[..., Settings], tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"1 images .* are broken, and none can be fetched again.*--images DIR"):
        retry(str(moved(story, tmp_path)), str(tmp_path / "third"), small(), quiet=True)
    assert not (tmp_path / "third").exists()


def moved(story: Story, tmp_path: Path) -> Path:
    """The retried run, as another machine sees it that has no images."""
    run = tmp_path / "moved"
    shutil.copytree(story.new, run)
    plan = json.loads((run / "plan.json").read_text())
    plan["source"]["images"] = str(tmp_path / "nowhere")
    (run / "plan.json").unlink()
    (run / "plan.json").write_text(json.dumps(plan))
    return run


def test_onto_s3_the_same_bytes(
    story: Story, cluster: None, bucket: str, small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Actors that an earlier test has started know nothing of the bucket, so this takes its steps in this process.
    monkeypatch.setattr("ray_jobs.retry.run_steps", here)
    target = Store(f"{bucket}/retried")
    told = retry(str(story.old), target.address, small(), images=str(story.repaired / "images"), quiet=True)
    assert told.stages == story.told.stages
    for key in target.list(""):
        if key.startswith(RETRY_DIR):
            theirs = story.old / key.removeprefix("retry/")
        elif key.startswith("retry/"):
            continue
        else:
            theirs = story.new / key
        assert target.read(key) == theirs.read_bytes()
    assert target.exists("plan.json")
    assert target.exists(f"{RETRY_DIR}/{SPOILT}.parquet")


def here(store: Store, machines: Any, plan: Any, steps: Sequence[Any], shards: Sequence[str], **_: Any) -> None:
    from ray_jobs.runtime.executor import run_locally

    for step in steps:
        run_locally(step.stage, shards)


def test_a_retry_that_has_not_drawn_yet_can_be_retried(
    story: Story, cluster: None, small: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray_jobs.retry.run_steps", here)
    begun = tmp_path / "begun"
    shutil.copytree(story.new, begun, ignore=shutil.ignore_patterns("augmented", "log"))
    (begun / "synthesized" / f"{SPOILT}.parquet").unlink()
    third = retry(str(begun), str(tmp_path / "third"), small(), images=str(story.repaired / "images"), quiet=True)
    assert third.stages == {"posts": 10, "embeddings": 10, "synthesized": 9, "scores": 10}
    old, new = ((run / RETRY_DIR / f"{SPOILT}.parquet").read_bytes() for run in (begun, tmp_path / "third"))
    assert old == new == (story.old / "synthesized" / f"{SPOILT}.parquet").read_bytes()


def test_a_run_without_failures_is_refused(
    story: Story, small: Callable[..., Settings], tmp_path: Path, amia: Amia
) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(story.new, whole, ignore=lambda folder, names: {"synthesized", "augmented", "posts"} & set(names))
    shutil.copytree(story.new / "posts", whole / "posts")
    for file in (whole / "posts").glob("*.parquet"):
        store, key = Store(whole), f"posts/{file.name}"
        table = read_shard(store, key)
        file.unlink()
        store.create(key, encode(table, stage="posts", identity="x", counts={"image=ok": table.num_rows})[0])
    code, _, complained = amia("retry", whole, "--failed", "--to", tmp_path / "new")
    assert code == 8
    assert "no post of" in complained
    assert not (tmp_path / "new").exists()


def test_where_it_may_not_go(story: Story, small: Callable[..., Settings], amia: Amia, tmp_path: Path) -> None:
    images = ("--images", story.repaired / "images")
    code, _, complained = amia("retry", story.old, "--to", tmp_path / "new", *images)
    assert (code, "--failed" in complained) == (2, True)
    with pytest.raises(RunError, match="another folder than the run's own"):
        retry(str(story.old), str(story.old), small(), images=str(story.repaired / "images"), quiet=True)
    shutil.copytree(story.old, tmp_path / "other", ignore=shutil.ignore_patterns("augmented"))
    with pytest.raises(RunError, match="holds a run of its own"):
        retry(str(story.old), str(tmp_path / "other"), small(), images=str(story.repaired / "images"), quiet=True)
    with pytest.raises(IdentityError, match=rf"was begun as the retry of {story.old}"):
        retry(str(tmp_path / "other"), str(story.new), small(), images=str(story.repaired / "images"), quiet=True)
    with pytest.raises(CorpusError, match="no such folder"):
        retry(str(story.old), str(tmp_path / "new"), small(), images=str(tmp_path / "nowhere"), quiet=True)
    assert not (tmp_path / "new").exists()


def test_what_it_says_to_a_person(story: Story, amia: Amia) -> None:
    images = ("--images", story.repaired / "images")
    code, said, complained = amia("retry", story.old, "--failed", "--to", story.new, *images, "--config", "demo")
    assert (code, complained) == (0, "")
    assert "96 posts in, 96 out" in said
    assert "2 whose synthesis failed: drawn again by the command below" in said
    assert "1 whose image the model's safety check refused" in said
    assert f"amia augment --run {story.new} --arm adaptive --arm constant --arm original" in said
    told = json.loads(amia("retry", story.old, "--failed", "--to", story.new, *images, "--json")[1])
    assert told["command"][:4] == ["amia", "augment", "--run", str(story.new)]
    assert told["stages"]["posts"] == told["of_shards"] == 10
