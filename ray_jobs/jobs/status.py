"""`amia status RUN`: what is published, in work, failed and left, and how fast it goes. Changes nothing.

Everything comes from the run itself, so any machine that sees it can ask while a job runs elsewhere: listings say what
is published and when, footers and manifests what failed, and each driver's heartbeat what its actors have in work.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from ray_jobs.runtime.heartbeat import SILENT_S, HeartbeatRecord, read_heartbeats
from ray_jobs.runtime.throughput import posts_per_second
from ray_jobs.storage.layout import (
    CELLS,
    EXPERIMENTS,
    RETRY,
    SCRATCH,
    arm_folder,
    identity_key,
    manifest_key,
    shard_key,
)
from ray_jobs.storage.plan import Plan, parse_shard_name
from ray_jobs.storage.shards import read_all_metadata, total_counts
from ray_jobs.storage.status import count_failures
from ray_jobs.storage.store import ObjectInfo, Store
from ray_jobs.training.training_status import list_trainings

__all__ = ["status"]

STAGES = ("posts", "embeddings", "scores", "scores-batch", "scores-expected", "synthesized", "augmented", "predictions")
ACCOUNTS = ("posts", "synthesized", "augmented")
"""Stages at which posts fail: only their footers are read."""

Files = Mapping[str, ObjectInfo]


def status(run: str) -> dict[str, Any]:
    """A run at this moment; without a plan it has no stages.

    `stages`, by folder: shards and posts published, posts in work, failed and left, bytes, posts per status, when the
    last shard was published; posts a second and seconds left where a driver is at it. `drivers`: who is at work, or was
    when it fell silent. `trainings`, `cells`, `experiments`: what has come of them. Times are in seconds.
    """
    store, now = Store(run), time.time()
    plan = Plan.find(store)
    heartbeats = read_heartbeats(store)
    alive = [beat for beat, told in heartbeats.values() if now - told < SILENT_S]
    about: dict[str, Any] = {
        "run": store.address,
        "posts": 0,
        "stages": {},
        "drivers": [
            {"host": beat.host, "pid": beat.pid, "heard_s_ago": max(0.0, now - told), "alive": beat in alive}
            for beat, told in heartbeats.values()
        ],
    }
    if plan is None:
        scratch, retried = store.list(SCRATCH), store.exists(identity_key(RETRY))
        last = max((each.modified for each in scratch.values()), default=None)
        return {**about, "beginning": {"scratch_bytes": _bytes(scratch), "last_written": last, "retry": retried}}
    with ThreadPoolExecutor(len(STAGES)) as pool:
        folders = [found for some in pool.map(store.list, STAGES) for found in _by_folder(some).items()]
    arms = [folder.partition("/")[2] for folder, _ in folders if folder.startswith("augmented/")]
    return {
        **about,
        "posts": plan.total,
        "splits": plan.posts,
        "rejected": plan.rejected,
        "stages": {folder: _stage(store, plan, folder, files, alive, now) for folder, files in folders},
        "mixture": store.exists("mixture/mixture.json"),
        "finished": [arm for arm in arms if store.exists(manifest_key(arm_folder(arm)))],
        "trainings": [asdict(each) for each in list_trainings(store)],
        "cells": len(store.list(CELLS)),
        "experiments": sorted({key.split("/")[1] for key in store.list(EXPERIMENTS)}),
    }


def _stage(
    store: Store, plan: Plan, folder: str, files: Files, alive: Sequence[HeartbeatRecord], now: float
) -> dict[str, Any]:
    shards = plan.shards
    if folder.startswith("predictions/"):  # of the splits that were asked for, as far as their shards tell
        splits = {parse_shard_name(key.rpartition("/")[2])[0] for key in files if key.endswith(".parquet")}
        shards = [shard for shard in shards if parse_shard_name(shard)[0] in splits]
    there = {shard: files[key] for shard in shards if (key := shard_key(folder, shard)) in files}
    at_it = [beat for beat in alive if folder in beat.working]
    working = {shard for beat in at_it for shard in beat.working[folder]} - there.keys()
    posts, of_posts = (sum(map(plan.rows_of, some)) for some in (there, shards))
    counts = _counts(store, folder, there) if folder.partition("/")[0] in ACCOUNTS else Counter[str]()
    times = [(each.modified, plan.rows_of(shard)) for shard, each in there.items()]
    rate = posts_per_second(times, min(beat.started for beat in at_it), now) if at_it and posts < of_posts else None
    return {
        "shards": len(there),
        "of_shards": len(shards),
        "posts": posts,
        "of_posts": of_posts,
        "working": sum(map(plan.rows_of, working)),
        "failed": count_failures(counts),
        "left": of_posts - posts,
        "counts": dict(sorted(counts.items())),
        "bytes": _bytes(there),
        "posts_per_s": rate,
        "eta_s": (of_posts - posts) / rate if rate else None,
        "last_published": max((time for time, _ in times), default=None),
    }


def _counts(store: Store, folder: str, there: Files) -> Counter[str]:
    """Posts per status: from the manifest where there is one, else from every footer."""
    if store.exists(manifest := manifest_key(folder)):
        return Counter(json.loads(store.read(manifest))["counts"])
    sizes = {shard_key(folder, shard): each.size for shard, each in there.items()}
    return total_counts(read_all_metadata(store, list(sizes), sizes))


def _by_folder(files: Files) -> dict[str, dict[str, ObjectInfo]]:
    """Listed files by the folder that they lie in: of arms and predictions there may be several."""
    found: dict[str, dict[str, ObjectInfo]] = {}
    for key in sorted(files):
        found.setdefault(key.rpartition("/")[0], {})[key] = files[key]
    return found


def _bytes(files: Files) -> int:
    return sum(each.size for each in files.values())
