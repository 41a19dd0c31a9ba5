"""`augmented/<arm>/manifest.json`: the files of an arm and what they hold. Written once, after everything else.

Two runs with the same settings and versions have equal manifests: times and hosts are in `log/`.
"""

import json
from collections import Counter
from importlib.metadata import version
from typing import Any

from ray_jobs.jobs.card import publish_card
from ray_jobs.jobs.context import RunContext
from ray_jobs.storage.earlier import absolute_address
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.layout import arm_folder, manifest_key, shard_keys
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import total_counts
from ray_jobs.storage.store import Store

__all__ = ["publish_manifest"]

PACKAGES = ("amia", "diffusers", "numpy", "pillow", "pyarrow", "ray", "scikit-learn", "torch", "transformers")

DATA_FILES = "data_files.json"
"""Addresses of the shards of an arm in a run and in those that it comes after, by split, as `load_dataset` takes them:
`load_dataset("parquet", data_files=json.load(...))`."""


def publish_manifest(job: RunContext, arm: str, identity: Identity, generator: str | None) -> tuple[str, Counter[str]]:
    """Write the card of an arm, then its manifest, unless they exist. Return the key and the posts by status.

    `generator` identifies the weights of the generator, None if the arm uses no synthesized image.
    """
    folder = arm_folder(arm)
    key = manifest_key(folder)
    if (published := job.store.find(key)) is not None:
        if job.plan.earlier:
            _publish_data_files(job, folder)  # an earlier run may have got the arm since
        return key, Counter(json.loads(published)["counts"])
    shards = list(job.facts.metadata(folder, job.plan.shards))
    counts = total_counts(shards)
    manifest: dict[str, Any] = {
        "arm": arm,
        "rows": sum(shard.rows for shard in shards),
        "splits": job.plan.posts,
        "counts": dict(sorted(counts.items())),
        "ratio": dict(sorted(sum((Counter(shard.extra["ratio"]) for shard in shards), Counter()).items())),
        "rejected": job.plan.rejected,
        "files": [
            {"name": f"{name}.parquet", "rows": shard.rows, "sha256": shard.sha256}
            for name, shard in zip(job.plan.shards, shards, strict=True)
        ],
        "identity": identity,
        "settings": job.settings.model_dump(mode="json", exclude={"pools", "wait_for_gpus_s"}),
        "generator": generator,
        "versions": {name: version(name) for name in PACKAGES},
    }
    publish_card(job, manifest)
    if job.plan.earlier:
        _publish_data_files(job, folder)
    job.store.create(key, json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False).encode())
    return key, counts


def _publish_data_files(job: RunContext, folder: str) -> None:
    """Write where the shards of an arm are, in all runs. An earlier run without the arm is left out and named."""
    files: dict[str, list[str]] = {}
    own = absolute_address(job.store.address)
    for address in [*job.plan.earlier, own]:
        store = Store(address)
        plan = Plan.find(store) if address == own or store.exists(manifest_key(folder)) else None
        if plan is None:
            job.log(f"{address} has no finished {folder}: {folder}/{DATA_FILES} leaves it out")
            continue
        for split in plan.posts:
            files.setdefault(split, []).extend(f"{address}/{key}" for key in shard_keys(folder, plan.shards_of(split)))
    job.store.replace(f"{folder}/{DATA_FILES}", json.dumps(files, indent=1, sort_keys=True).encode())
