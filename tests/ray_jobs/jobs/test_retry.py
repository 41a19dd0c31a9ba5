"""`amia retry` takes over unaffected shards unchanged; the others become as if no post had failed."""

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
from ray_jobs.storage.layout import RETRY_DIR
from ray_jobs.storage.shards import encode, read_metadata, read_shard
from ray_jobs.storage.store import Store
from tests.helpers.drivers import assert_equal_files, read_files

Amia = Callable[..., tuple[int, str, str]]
Row = dict[str, Any]

pytestmark = pytest.mark.usefixtures("local_stages")

ARMS = ("adaptive", "original", "constant", "two-sided")
FAILED_SHARD = "train-00002-of-00006"
"""The shard with two failed syntheses; none of its images is broken."""


@dataclass(frozen=True)
class Scenario:
    """A run with failed posts, and its retry."""

    old: Path
    new: Path
    repaired: Path
    """The corpus with all broken images repaired except one."""
    before: dict[str, bytes]
    """Every file of the old run before the retry."""
    result: RetryResult
    augmented: AugmentResult
    repaired_shards: set[str]
    """Shards in which an image was repaired."""
    broken_id: str
    """Id of the post whose image stays broken."""


def rows(run: Path, folder: str, shard: str) -> list[Row]:
    return pq.read_table(run / folder / f"{shard}.parquet").to_pylist()


def simulate_failures(run: Path, shard: str, failures: dict[int, str]) -> None:
    """Replace a synthesized shard by one in which some posts failed, by row: only a GPU makes the generator fail."""
    store, key = Store(run), f"synthesized/{shard}.parquet"
    table, metadata = read_shard(store, key), read_metadata(store, key)
    new_rows = table.to_pylist()
    for row, reason in failures.items():
        first = new_rows[row]["seed"]
        # After two redraws, as in the preset; out of memory, no image is generated at all.
        last = first if reason == "out_of_memory" else redraw_seed(first, 2)
        new_rows[row] |= {"image": None, "synthesis_status": f"failed({reason})", "seed": last}
    counts = Counter(f"synthesis={row['synthesis_status']}" for row in new_rows)
    table = pa.Table.from_pylist(new_rows, table.schema.remove_metadata())
    data, _ = encode(table, stage="synthesized", identity=metadata.identity, counts=counts, extra={"redraws": 4})
    (run / key).unlink()
    store.create(key, data)


@pytest.fixture(scope="module")
def scenario(
    augmented: Path, corpus: Path, small: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Scenario:
    """A run with 4 broken images, of which 3 are repaired, and three simulated failures of synthesis.

    The failures are a black image, a refused one, and one that ran out of memory.
    """
    folder = tmp_path_factory.mktemp("retry")
    old, new, repaired = folder / "old", folder / "new", folder / "repaired"
    shutil.copytree(augmented, old, ignore=shutil.ignore_patterns("augmented", "log"))
    shutil.copytree(corpus, repaired)
    simulate_failures(old, FAILED_SHARD, {2: "black", 5: "refused", 7: "out_of_memory"})
    augment(str(old), small(), arms=ARMS, accept_mixture=True, quiet=True)
    posts = [row for file in sorted((old / "posts").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    broken = [row for row in posts if row["image_status"].startswith("bad_image")]
    good = [row["image"]["bytes"] for row in posts if row["image_status"] == "ok"]
    *repaired_rows, broken_row = broken
    for row, data in zip(repaired_rows, good, strict=False):
        (repaired / "images" / row["image"]["path"]).write_bytes(data)
    ids = {row["id"] for row in repaired_rows}
    repaired_shards = {
        file.stem
        for file in (old / "posts").glob("*.parquet")
        if ids & set(pq.read_table(file, columns=["id"])["id"].to_pylist())
    }
    assert len(broken) == 4
    assert FAILED_SHARD not in repaired_shards
    before = read_files(old)
    result = retry(str(old), str(new), small(), images=str(repaired / "images"), quiet=True)
    augment_result = augment(str(new), small(), arms=ARMS, accept_mixture=True, quiet=True)
    return Scenario(old, new, repaired, before, result, augment_result, repaired_shards, broken_row["id"])


def test_old_run_is_unchanged(scenario: Scenario) -> None:
    assert read_files(scenario.old) == scenario.before


def test_unaffected_shards_are_taken_over(scenario: Scenario) -> None:
    affected = {
        "posts": scenario.repaired_shards,
        "embeddings": scenario.repaired_shards,
        "scores": scenario.repaired_shards,
        "synthesized": {FAILED_SHARD},
        "synthesized_scores": {FAILED_SHARD},
        "augmented/adaptive": {*scenario.repaired_shards, FAILED_SHARD},
        "augmented/two-sided": {*scenario.repaired_shards, FAILED_SHARD},
        "augmented/original": scenario.repaired_shards,
    }
    for folder, expected in affected.items():
        old, new = read_files(scenario.old, folder), read_files(scenario.new, folder)
        assert old.keys() == new.keys()
        differ = {Path(key).stem for key in old if old[key] != new[key]} - {"manifest", "README"}
        assert differ == expected, folder
    assert_equal_files(scenario.old, scenario.new, "mixture")
    for name in ("plan.json", "posts/identity.json", "augmented/adaptive/identity.json", "scores/identity.json"):
        assert (scenario.old / name).read_bytes() == (scenario.new / name).read_bytes()
    inodes = [(run / "posts" / f"{FAILED_SHARD}.parquet").stat().st_ino for run in (scenario.old, scenario.new)]
    assert inodes[0] == inodes[1], "files on the same disk are linked, not copied"


def test_every_post_is_kept_and_counted(scenario: Scenario) -> None:
    assert {arm: counts.total() for arm, counts in scenario.augmented.counts.items()} == dict.fromkeys(ARMS, 96)
    statuses = Counter(status for status in scenario.augmented.counts["original"].elements())
    assert sum(count for status, count in statuses.items() if "bad_image" in status) == 1
    [(_, (before, after))] = [item for item in scenario.result.images.items() if item[1][1]]
    assert after == 1
    assert before >= 1
    assert sum(before for before, _ in scenario.result.images.values()) == 4
    assert sum(after for _, after in scenario.result.images.values()) == 1
    assert (scenario.result.redrawn, scenario.result.refused) == (2, 1)
    assert scenario.result.stages["synthesized"] == 9
    assert scenario.result.stages["augmented/constant"] == 0, "its ratio is the mean over all posts"
    broken = next(
        row
        for file in (scenario.new / "posts").glob("*.parquet")
        for row in pq.read_table(file).to_pylist()
        if row["id"] == scenario.broken_id
    )
    assert broken["image_status"].startswith("bad_image(")
    assert broken["image"]["bytes"] is None


def test_failed_images_use_the_next_seed(scenario: Scenario) -> None:
    old, new = (rows(run, "synthesized", FAILED_SHARD) for run in (scenario.old, scenario.new))
    assert [row["id"] for row in old] == [row["id"] for row in new]
    assert [number for number, (before, after) in enumerate(zip(old, new, strict=True)) if before != after] == [2, 7]
    assert [new[row]["synthesis_status"] for row in (2, 5, 7)] == ["ok", "failed(refused)", "ok"]
    first_seed = post_seed(0, old[2]["id"])
    assert old[2]["seed"] == redraw_seed(first_seed, 2)
    assert new[2]["seed"] == redraw_seed(old[2]["seed"], 1)
    assert new[2]["image"]
    assert new[7]["image"]
    assert new[7]["seed"] == old[7]["seed"] == post_seed(0, old[7]["id"]), "out of memory is not the fault of the seed"
    mixed = rows(scenario.new, "augmented/adaptive", FAILED_SHARD)
    assert mixed[2]["synthesis_status"] == "ok"
    assert mixed[2]["seed"] == new[2]["seed"]
    scored = [rows(run, "augmented/two-sided", FAILED_SHARD) for run in (scenario.old, scenario.new)]
    assert [[rows_of_run[row]["theta_synthesized"] is None for row in (2, 5, 7)] for rows_of_run in scored] == [
        [True, True, True],
        [False, True, False],
    ]
    assert [scored[0][row]["ratio"] for row in (2, 5, 7)] == [1, 1, 1]


def test_posts_equal_those_of_the_repaired_corpus(
    scenario: Scenario, cluster: None, small: Callable[..., Settings], tmp_path: Path
) -> None:
    ingest(str(scenario.repaired), str(tmp_path / "run"), small("max_failed=1"), quiet=True)
    assert_equal_files(tmp_path / "run", scenario.new, "posts")


@pytest.mark.slow  # a whole run
def test_equals_a_run_of_the_repaired_corpus(
    scenario: Scenario, cluster: None, small: Callable[..., Settings], tmp_path: Path
) -> None:
    """A run of the repaired corpus with the old mixture gives the same files, except where failures were simulated."""
    ingest(str(scenario.repaired), str(tmp_path / "run"), small("max_failed=1"), quiet=True)
    augment(str(tmp_path / "run"), small(), arms=ARMS, mixture=str(scenario.old), quiet=True)
    assert_equal_files(tmp_path / "run", scenario.new, "posts", "embeddings", "scores", "augmented/original")
    for folder in ("synthesized", "synthesized_scores", *(f"augmented/{arm}" for arm in ARMS if arm != "original")):
        expected, actual = read_files(tmp_path / "run", folder), read_files(scenario.new, folder)
        assert expected.keys() == actual.keys()
        differ = {key for key in expected if expected[key] != actual[key]}
        assert {Path(key).stem for key in differ} <= {FAILED_SHARD, "manifest", "README"}
    expected_rows, actual_rows = (
        rows(run, "augmented/adaptive", FAILED_SHARD) for run in (tmp_path / "run", scenario.new)
    )
    assert [
        number for number, pair in enumerate(zip(expected_rows, actual_rows, strict=True)) if pair[0] != pair[1]
    ] == [2, 5]


def test_second_call_does_nothing(scenario: Scenario, small: Callable[..., Settings]) -> None:
    before, logs = read_files(scenario.new), sorted((scenario.new / "log").iterdir())
    result = retry(str(scenario.old), str(scenario.new), small(), images=str(scenario.repaired / "images"), quiet=True)
    assert result == scenario.result
    assert read_files(scenario.new) == before
    assert sorted((scenario.new / "log").iterdir()) == logs


def test_refused_without_the_image_folder(scenario: Scenario, small: Callable[..., Settings], tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"1 images .* are broken and cannot be fetched again.*--images DIR"):
        retry(str(moved(scenario, tmp_path)), str(tmp_path / "third"), small(), quiet=True)
    assert not (tmp_path / "third").exists()


def moved(scenario: Scenario, tmp_path: Path) -> Path:
    """Return a copy of the retried run as on another machine, which does not have its images."""
    run = tmp_path / "moved"
    shutil.copytree(scenario.new, run)
    plan = json.loads((run / "plan.json").read_text())
    plan["source"]["images"] = str(tmp_path / "nowhere")
    (run / "plan.json").unlink()
    (run / "plan.json").write_text(json.dumps(plan))
    return run


def test_same_bytes_on_s3(
    scenario: Scenario, cluster: None, bucket: str, small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Actors started by earlier tests have no credentials for the bucket, so run the stages in this process.
    monkeypatch.setattr("ray_jobs.jobs.retry.run_stages", run_in_process)
    target = Store(f"{bucket}/retried")
    result = retry(str(scenario.old), target.address, small(), images=str(scenario.repaired / "images"), quiet=True)
    assert result.stages == scenario.result.stages
    for key in target.list(""):
        if key.startswith(RETRY_DIR):
            source = scenario.old / key.removeprefix("retry/")
        elif key.startswith("retry/"):
            continue
        else:
            source = scenario.new / key
        assert target.read(key) == source.read_bytes()
    assert target.exists("plan.json")
    assert target.exists(f"{RETRY_DIR}/{FAILED_SHARD}.parquet")


def run_in_process(
    store: Store, cluster: Any, plan: Any, specs: Sequence[Any], shards: Sequence[str], **_: Any
) -> None:
    from ray_jobs.runtime.executor import run_locally

    for spec in specs:
        run_locally(spec.stage, shards)


def test_unfinished_retry_can_be_retried(
    scenario: Scenario, cluster: None, small: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray_jobs.jobs.retry.run_stages", run_in_process)
    unfinished = tmp_path / "unfinished"
    shutil.copytree(scenario.new, unfinished, ignore=shutil.ignore_patterns("augmented", "log"))
    for folder in ("synthesized", "synthesized_scores"):
        (unfinished / folder / f"{FAILED_SHARD}.parquet").unlink()
    third = retry(
        str(unfinished), str(tmp_path / "third"), small(), images=str(scenario.repaired / "images"), quiet=True
    )
    assert third.stages == {"posts": 10, "embeddings": 10, "synthesized": 9, "synthesized_scores": 9, "scores": 10}
    old, new = ((run / RETRY_DIR / f"{FAILED_SHARD}.parquet").read_bytes() for run in (unfinished, tmp_path / "third"))
    assert old == new == (scenario.old / "synthesized" / f"{FAILED_SHARD}.parquet").read_bytes()


def test_refused_without_failures(
    scenario: Scenario, small: Callable[..., Settings], tmp_path: Path, amia: Amia
) -> None:
    run = tmp_path / "run"
    shutil.copytree(scenario.new, run, ignore=lambda folder, names: {"synthesized", "augmented", "posts"} & set(names))
    shutil.copytree(scenario.new / "posts", run / "posts")
    for file in (run / "posts").glob("*.parquet"):
        store, key = Store(run), f"posts/{file.name}"
        table = read_shard(store, key)
        file.unlink()
        store.create(key, encode(table, stage="posts", identity="x", counts={"image=ok": table.num_rows})[0])
    code, _, stderr = amia("retry", run, "--failed", "--to", tmp_path / "new")
    assert code == 8
    assert "no failed post of" in stderr
    assert not (tmp_path / "new").exists()


def test_refused_targets(scenario: Scenario, small: Callable[..., Settings], amia: Amia, tmp_path: Path) -> None:
    images = ("--images", scenario.repaired / "images")
    code, _, stderr = amia("retry", scenario.old, "--to", tmp_path / "new", *images)
    assert (code, "--failed" in stderr) == (2, True)
    with pytest.raises(RunError, match="another folder than the run"):
        retry(str(scenario.old), str(scenario.old), small(), images=str(scenario.repaired / "images"), quiet=True)
    shutil.copytree(scenario.old, tmp_path / "other", ignore=shutil.ignore_patterns("augmented"))
    with pytest.raises(RunError, match="holds another run"):
        retry(str(scenario.old), str(tmp_path / "other"), small(), images=str(scenario.repaired / "images"), quiet=True)
    with pytest.raises(IdentityError, match=rf"is the retry of {scenario.old}"):
        retry(str(tmp_path / "other"), str(scenario.new), small(), images=str(scenario.repaired / "images"), quiet=True)
    with pytest.raises(CorpusError, match="no such folder"):
        retry(str(scenario.old), str(tmp_path / "new"), small(), images=str(tmp_path / "nowhere"), quiet=True)
    assert not (tmp_path / "new").exists()


def test_printed_result(scenario: Scenario, amia: Amia) -> None:
    images = ("--images", scenario.repaired / "images")
    code, stdout, stderr = amia("retry", scenario.old, "--failed", "--to", scenario.new, *images, "--config", "demo")
    assert (code, stderr) == (0, "")
    assert "96 posts in, 96 out" in stdout
    assert "2 whose synthesis failed: the command below synthesizes them again" in stdout
    assert "1 refused by the model's safety check" in stdout
    assert f"amia augment --run {scenario.new} --arm adaptive --arm constant --arm original" in stdout
    result = json.loads(amia("retry", scenario.old, "--failed", "--to", scenario.new, *images, "--json")[1])
    assert result["command"][:4] == ["amia", "augment", "--run", str(scenario.new)]
    assert result["stages"]["posts"] == result["of_shards"] == 10
