"""Log lines, errors and metrics name the stage, the shard and the posts."""

import json
import re
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from amia.errors import RunError
from amia.images import ImageSettings
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.executor import StageSpec, run_locally, run_stages
from ray_jobs.runtime.stage_actor import MAX_IDS
from ray_jobs.settings.job import Pool
from ray_jobs.stages.mix import Mix
from ray_jobs.storage.schemas import encode_posts, posts_table
from ray_jobs.storage.store import Store
from tests.helpers.drivers import finish, start
from tests.helpers.exposed_metrics import exposed_metrics
from tests.helpers.head import Head, started_head
from tests.helpers.toy import Fail, toy_plan


def read_log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in (run / "log").glob("*.jsonl") for line in file.read_text().splitlines()]


def test_log_names_failed_posts(ingested: Path) -> None:
    broken: dict[str, dict[str, list[str]]] = {}
    for file in (ingested / "posts").glob("*.parquet"):
        for row in pq.read_table(file).to_pylist():
            if row["image_status"].startswith("bad_image"):
                broken.setdefault(file.stem, {}).setdefault(f"image={row['image_status']}", []).append(row["id"])
    logged = {
        line["shard"]: {status: failure["ids"] for status, failure in line["failures"].items()}
        for line in read_log(ingested)
        if line["failures"]
    }
    assert logged == broken
    assert sum(len(ids) for by_status in broken.values() for ids in by_status.values()) == 4


def test_log_names_some_of_many_failed_posts(cluster: None, tmp_path: Path) -> None:
    (tmp_path / "instructions").mkdir()
    store, plan = Store(tmp_path), toy_plan(2)
    specs = [StageSpec(Fail(store), Pool(cpus=0.5))]
    run_stages(
        store, Cluster(is_local=False, autoscales=False), plan, specs, plan.shards, wait_s=60, quiet=True, stall_s=600
    )
    for line in read_log(tmp_path):
        [(status, failure)] = line["failures"].items()
        assert (status, failure["posts"]) == ("image=bad_image(empty)", 30)
        assert failure["ids"] == [f"{line['shard']}-{number}" for number in range(MAX_IDS)]


def test_undecodable_stored_image_names_shard_and_post(tmp_path: Path) -> None:
    store, [shard] = Store(tmp_path), toy_plan(1).shards
    post = {"split": "train", "text": "x", "tokens": None, "tags": None, "ner_tags": None}
    rows = [{**post, "id": name, "image": None, "image_path": None, "status": "no_image"} for name in ("one", "two")]
    rows[1] |= {"image": b"\xff\xd8\xff no JPEG", "status": "ok"}
    store.create(f"posts/{shard}.parquet", encode_posts(posts_table(rows), "x")[0])
    stage = Mix(
        store,
        ["original"],
        images=ImageSettings(size=64),
        types=["PER"],
        mixture=None,
        seed=0,
        mean_theta=None,
        posts="",
        scores=None,
        synthesized=None,
    )
    with pytest.raises(RunError, match=rf"^augmented {shard}: post two: its stored image cannot be decoded here"):
        run_locally(stage, [shard])


def collect_metrics(head: Head) -> dict[str, float]:
    """Return amia's metrics as Prometheus would collect them: `name{stage="...",...}` without the labels of Ray."""
    values: dict[str, float] = {}
    with urllib.request.urlopen(f"{head.dashboard}/api/prometheus/sd", timeout=10) as response:  # noqa: S310 - a local head
        targets = [target for group in json.load(response) for target in group["targets"]]
    for target in targets:
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as response:
            for line in response.read().decode().splitlines():
                if match := re.fullmatch(r"ray_(amia_\w+)\{(.*)\} (\S+)", line):
                    name, labels, value = match.groups()
                    kept = [
                        label for label in re.findall(r'\w+="[^"]*"', labels) if re.match("stage|reason|part", label)
                    ]
                    key = f"{name}{{{','.join(sorted(kept))}}}"
                    values[key] = values.get(key, 0.0) + float(value)
    return values


@pytest.mark.slow  # starts a head with a dashboard
def test_metrics_are_exported_to_prometheus(corpus: Path, small_words: Sequence[str], tmp_path: Path) -> None:
    words = ("ingest", str(corpus), "--run", str(tmp_path / "run"), "--config", "demo", "max_failed=1", *small_words)
    names: set[str] = set()
    with started_head(RAY_metrics_report_interval_ms="1000") as head:
        process = start(*words, RAY_ADDRESS=head.address, RAY_AUTH_MODE="disabled")
        deadline = time.monotonic() + 120
        while (values := collect_metrics(head)).get('amia_posts_total{stage="posts"}') != 96:
            assert time.monotonic() < deadline, values
            names |= {f"ray_{key.partition('{')[0]}" for key in values}
            time.sleep(0.5)
        code, _, stderr = finish(process)
    assert (code, stderr) == (0, "")
    names |= {f"ray_{key.partition('{')[0]}" for key in values}
    assert names == exposed_metrics() - {"ray_amia_oom_reduced_total"}, "memory did not run out"
    failed = {key: value for key, value in values.items() if key.startswith("amia_failed_posts_total")}
    assert sum(failed.values()) == 4
    assert all('reason="image=bad_image(' in key and 'stage="posts"' in key for key in failed)
    for part in ("load", "run", "publish"):
        assert values[f'amia_shard_seconds_count{{part="{part}",stage="posts"}}'] == 10
