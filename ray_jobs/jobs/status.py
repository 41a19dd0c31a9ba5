"""`amia status RUN`: what is published, in work, failed and left, and at what rate. Changes nothing.

All information comes from the run itself, so any machine that can read the run can show it while a job runs elsewhere:
listings show what is published and when, shard footers and manifests what failed, and the heartbeat of each driver what
its actors are working on.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from amia.utils.store_reader import ObjectInfo
from ray_jobs.runtime.faults import Fault, read_faults
from ray_jobs.runtime.heartbeat import TIMEOUT_S, HeartbeatRecord, read_heartbeats
from ray_jobs.runtime.throughput import posts_per_second
from ray_jobs.storage.combined import open_store
from ray_jobs.storage.facts import ShardFacts
from ray_jobs.storage.layout import (
    AUGMENTED,
    CELLS,
    EMBEDDINGS,
    EXPERIMENTS,
    MIXTURE,
    POSTS,
    PREDICTIONS,
    REMOVED_IMAGES_FILE,
    RETRY,
    SCORES,
    SCRATCH,
    SYNTHESIZED,
    SYNTHESIZED_SCORES,
    arm_folder,
    identity_key,
    manifest_key,
    shard_key,
)
from ray_jobs.storage.plan import Plan, parse_shard_name
from ray_jobs.storage.removals import pending_removal
from ray_jobs.storage.status import count_failures
from ray_jobs.storage.store import Store
from ray_jobs.training.training_status import list_trainings

__all__ = ["status"]

STAGE_FOLDERS = (POSTS, EMBEDDINGS, SCORES, SYNTHESIZED, SYNTHESIZED_SCORES, AUGMENTED, PREDICTIONS)
FOLDERS_WITH_STATUSES = (POSTS, SYNTHESIZED, AUGMENTED)
"""Folders whose shards count posts by status. The footers of other shards are not read."""

Files = Mapping[str, ObjectInfo]


def status(
    run: str, counted: dict[str, Mapping[str, int]] | None = None, *, with_earlier: bool = False
) -> dict[str, Any]:
    """Return the current state of a run. A run without a plan has no stages.

    `stages` has one entry per folder: shards and posts that are published, posts in work, failed and left, bytes, posts
    by status, the time of the last shard, and the posts per second and seconds left if a driver is working on it.
    Images that were removed on purpose once they were mixed are `removed`, not left.
    `removed` at the top counts the posts that `amia remove` took out; `removing` tells that it is not done.
    `retries` counts the unexpected errors and deaths of processes by stage and cause. `drivers` lists running drivers
    and those whose heartbeat stopped. `trainings`, `cells` and `experiments` list recognizers and tables. Durations are
    in seconds; times are in seconds since 1970.

    `counted` has the posts by status of the shards whose footers an earlier call has read, by key. It is extended, so
    that calls with the same dictionary read each footer once. `with_earlier`: count the shards of the runs that this
    one comes after, too.
    """
    counted = {} if counted is None else counted
    store, now = open_store(run, with_earlier=with_earlier), time.time()
    plan = Plan.find(store)
    heartbeats = read_heartbeats(store)
    alive = [record for record, written in heartbeats.values() if now - written < TIMEOUT_S]
    report: dict[str, Any] = {
        "run": store.address,
        "posts": 0,
        "stages": {},
        "drivers": [
            {"host": record.host, "pid": record.pid, "heard_s_ago": max(0.0, now - written), "alive": record in alive}
            for record, written in heartbeats.values()
        ],
    }
    if plan is None:
        return report | {"beginning": _state_before_plan(store)}
    with ThreadPoolExecutor(len(STAGE_FOLDERS)) as pool:
        listings = list(pool.map(store.list, STAGE_FOLDERS))
    folders = {folder: files for listing in listings for folder, files in _group_by_folder(listing).items()}
    arms = [folder.partition("/")[2] for folder in folders if folder.startswith(f"{AUGMENTED}/")]
    return report | {
        "posts": plan.total,
        "splits": plan.posts,
        "rejected": plan.rejected,
        "removed": plan.removal.total if plan.removal else 0,
        "removing": pending_removal(store) is not None,
        "stages": {
            folder: _stage_state(store, plan, folder, files, alive, now, counted) for folder, files in folders.items()
        },
        "mixture": store.exists(f"{MIXTURE}/mixture.json"),
        "finished": [arm for arm in arms if store.exists(manifest_key(arm_folder(arm)))],
        "retries": _count_retries(read_faults(store)),
        "trainings": [asdict(training) for training in list_trainings(store)],
        "cells": len(store.list(CELLS)),
        "experiments": sorted({key.split("/")[1] for key in store.list(EXPERIMENTS)}),
    }


def _count_retries(faults: Sequence[Fault]) -> list[dict[str, Any]]:
    """Return how often shards of each stage ran again for each cause, and on which hosts the cause occurred."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for fault in faults:
        hosts.setdefault((fault.stage, fault.cause), []).append(fault.host)
    return [
        {"stage": stage, "cause": cause, "count": len(places), "hosts": sorted(set(places))}
        for (stage, cause), places in hosts.items()
    ]


def _state_before_plan(store: Store) -> dict[str, Any]:
    """Return the state of a run whose ingest or retry has not published its plan yet."""
    scratch = store.list(SCRATCH)
    return {
        "scratch_bytes": _total_bytes(scratch),
        "last_written": max((file.modified for file in scratch.values()), default=None),
        "retry": store.exists(identity_key(RETRY)),
    }


def _stage_state(
    store: Store,
    plan: Plan,
    folder: str,
    files: Files,
    alive: Sequence[HeartbeatRecord],
    now: float,
    counted: dict[str, Mapping[str, int]],
) -> dict[str, Any]:
    shards = plan.shards
    if folder.startswith(f"{PREDICTIONS}/"):  # count only the requested splits, as far as published shards show them
        splits = {parse_shard_name(key.rpartition("/")[2])[0] for key in files if key.endswith(".parquet")}
        shards = [shard for shard in shards if parse_shard_name(shard)[0] in splits]
    published = {shard: files[key] for shard in shards if (key := shard_key(folder, shard)) in files}
    drivers = [record for record in alive if folder in record.working]
    in_work = {shard for record in drivers for shard in record.working[folder]} - published.keys()
    posts, of_posts = sum(map(plan.rows_of, published)), sum(map(plan.rows_of, shards))
    has_statuses = folder.partition("/")[0] in FOLDERS_WITH_STATUSES
    removed = folder == SYNTHESIZED and REMOVED_IMAGES_FILE in files
    counts = _count_statuses(store, plan, folder, files, list(published), counted) if has_statuses else Counter[str]()
    times = [(file.modified, plan.rows_of(shard)) for shard, file in published.items()]
    rate = None
    if drivers and posts < of_posts and not removed:
        rate = posts_per_second(times, min(record.started for record in drivers), now)
    return {
        "shards": len(published),
        "of_shards": len(shards),
        "posts": posts,
        "of_posts": of_posts,
        "working": sum(map(plan.rows_of, in_work)),
        "failed": count_failures(counts),
        "left": 0 if removed else of_posts - posts,
        "removed": of_posts - posts if removed else 0,
        "counts": dict(sorted(counts.items())),
        "bytes": _total_bytes(published),
        "posts_per_s": rate,
        "eta_s": (of_posts - posts) / rate if rate else None,
        "last_published": max((modified for modified, _ in times), default=None),
    }


def _count_statuses(
    store: Store,
    plan: Plan,
    folder: str,
    files: Files,
    published: Sequence[str],
    counted: dict[str, Mapping[str, int]],
) -> Counter[str]:
    """Count posts by status: from the manifest if there is one, else from the footers of all shards."""
    if (manifest := store.find(manifest_key(folder))) is not None:
        return Counter(json.loads(manifest)["counts"])
    unread = [shard for shard in published if shard_key(folder, shard) not in counted]
    facts = ShardFacts(store, plan)
    facts.remember(folder, files)
    for shard, footer in zip(unread, facts.metadata(folder, unread), strict=True):
        counted[shard_key(folder, shard)] = footer.counts
    counts: Counter[str] = Counter()
    for shard in published:
        counts.update(counted[shard_key(folder, shard)])
    return counts


def _group_by_folder(files: Files) -> dict[str, dict[str, ObjectInfo]]:
    """Group listed files by their folder: there may be several arms and several recognizers with predictions."""
    folders: dict[str, dict[str, ObjectInfo]] = {}
    for key in sorted(files):
        folders.setdefault(key.rpartition("/")[0], {})[key] = files[key]
    return folders


def _total_bytes(files: Files) -> int:
    return sum(file.size for file in files.values())
