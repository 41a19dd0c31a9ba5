"""What an operator reads: log lines, errors and metrics, each with its stage, shard and posts."""

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
from ray_jobs.storage.schemas import posts_table, publish_posts
from ray_jobs.storage.store import Store
from tests.helpers.drivers import finish, start
from tests.helpers.head import Head, started_head
from tests.helpers.toy import Fail, plan_of


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in (run / "log").glob("*.jsonl") for line in file.read_text().splitlines()]


def test_the_log_names_the_posts_that_failed(ingested: Path) -> None:
    broken: dict[str, dict[str, list[str]]] = {}
    for file in (ingested / "posts").glob("*.parquet"):
        for row in pq.read_table(file).to_pylist():
            if row["image_status"].startswith("bad_image"):
                broken.setdefault(file.stem, {}).setdefault(f"image={row['image_status']}", []).append(row["id"])
    told = {
        line["shard"]: {status: each["ids"] for status, each in line["failures"].items()}
        for line in lines(ingested)
        if line["failures"]
    }
    assert told == broken
    assert sum(len(ids) for each in broken.values() for ids in each.values()) == 4


def test_of_many_failures_the_log_names_some_and_counts_all(cluster: None, tmp_path: Path) -> None:
    (tmp_path / "wishes").mkdir()
    store, plan = Store(tmp_path), plan_of(2)
    steps = [StageSpec(Fail(store), Pool(cpus=0.5))]
    run_stages(store, Cluster(is_local=False, autoscales=False), plan, steps, plan.shards, wait_s=60, quiet=True)
    for line in lines(tmp_path):
        [(status, each)] = line["failures"].items()
        assert (status, each["posts"]) == ("image=bad_image(empty)", 30)
        assert each["ids"] == [f"{line['shard']}-{number}" for number in range(MAX_IDS)]


def test_a_stored_image_that_does_not_decode_any_more_names_shard_and_post(tmp_path: Path) -> None:
    store, [shard] = Store(tmp_path), plan_of(1).shards
    post = {"split": "train", "text": "x", "tokens": None, "tags": None, "ner_tags": None}
    rows = [{**post, "id": name, "image": None, "image_path": None, "status": "no_image"} for name in ("one", "two")]
    rows[1] |= {"image": b"\xff\xd8\xff no JPEG", "status": "ok"}
    publish_posts(store, f"posts/{shard}.parquet", posts_table(rows), "x")
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


def metrics(head: Head) -> dict[str, float]:
    """What Prometheus would collect from the head of ours: `name{stage="...",...}` without Ray's own labels."""
    found: dict[str, float] = {}
    with urllib.request.urlopen(f"{head.dashboard}/api/prometheus/sd", timeout=10) as answer:  # noqa: S310 - our own head
        targets = [target for each in json.load(answer) for target in each["targets"]]
    for target in targets:
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if found_here := re.fullmatch(r"ray_(amia_\w+)\{(.*)\} (\S+)", line):
                    name, labels, value = found_here.groups()
                    ours = [each for each in re.findall(r'\w+="[^"]*"', labels) if re.match("stage|reason|part", each)]
                    key = f"{name}{{{','.join(sorted(ours))}}}"
                    found[key] = found.get(key, 0.0) + float(value)
    return found


@pytest.mark.slow  # Ray tells of its metrics every ten seconds
def test_counters_come_out_where_prometheus_looks(corpus: Path, small_words: Sequence[str], tmp_path: Path) -> None:
    words = ("ingest", str(corpus), "--run", str(tmp_path / "run"), "--config", "demo", "max_failed=1", *small_words)
    with started_head() as head:
        code, _, complained = finish(start(*words, RAY_ADDRESS=head.address, RAY_AUTH_MODE="disabled"))
        assert (code, complained) == (0, "")
        deadline = time.monotonic() + 60
        while (told := metrics(head)).get('amia_posts_total{stage="posts"}') != 96:
            assert time.monotonic() < deadline, told
            time.sleep(1)
    failed = {key: value for key, value in told.items() if key.startswith("amia_failed_posts_total")}
    assert sum(failed.values()) == 4
    assert all('reason="image=bad_image(' in key and 'stage="posts"' in key for key in failed)
    for part in ("load", "run", "publish"):
        assert told[f'amia_shard_seconds_count{{part="{part}",stage="posts"}}'] == 10
