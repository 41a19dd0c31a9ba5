"""`augmented/<arm>/manifest.json`: the files of an arm and what they hold. Written after everything else, and
again only by `amia remove`.

Two runs with the same settings and versions have equal manifests: times and hosts are in `log/`.
"""

import json
from collections import Counter
from importlib.metadata import version
from typing import Any

from ray_jobs.jobs.card import render_card
from ray_jobs.jobs.context import RunContext
from ray_jobs.storage.arm import Arm
from ray_jobs.storage.earlier import absolute_address
from ray_jobs.storage.facts import ShardFacts
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.layout import arm_folder, manifest_key, readme_key, shard_keys
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import total_counts
from ray_jobs.storage.store import Store

__all__ = ["DATA_FILES", "publish_data_files", "publish_manifest", "renew_manifest"]

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
        _name_unfinished(job, folder)  # an earlier run may have got the arm since
        return key, Counter(json.loads(published)["counts"])
    manifest: dict[str, Any] = {
        "arm": arm,
        **_describe_files(job.facts, job.plan, folder),
        "identity": identity,
        "settings": job.settings.model_dump(mode="json", exclude={"pools", "synthesized", "wait_for_gpus_s"}),
        "generator": generator,
        "versions": {name: version(name) for name in PACKAGES},
    }
    if not job.store.exists(readme_key(folder)):
        job.store.create(readme_key(folder), render_card(job.store, job.facts, job.plan, manifest))
    _name_unfinished(job, folder)
    job.store.create(key, _to_json(manifest))
    return key, Counter(manifest["counts"])


def _name_unfinished(job: RunContext, folder: str) -> None:
    """Publish the addresses of all shards of an arm if the run comes after others, and name those without the arm."""
    for address in publish_data_files(job.store, job.plan, folder) if job.plan.earlier else ():
        job.log(f"{address} has no finished {folder}: {folder}/{DATA_FILES} leaves it out")


def renew_manifest(store: Store, plan: Plan, arm: str) -> None:
    """Write the card and the manifest of a finished arm again, with the rows that stay after a removal of posts.

    The new shards exist by then, and the previous ones still do: a reader never sees a manifest of missing shards.
    """
    folder = arm_folder(arm)
    old: dict[str, Any] = json.loads(store.read(manifest_key(folder)))
    origin = Arm(store, arm, old).digest
    facts = ShardFacts(store, plan, publishes=True)
    manifest = {**old, **_describe_files(facts, plan, folder), "origin": origin}
    store.replace(readme_key(folder), render_card(store, facts, plan, manifest))
    if plan.earlier:
        publish_data_files(store, plan, folder)
    store.replace(manifest_key(folder), _to_json(manifest))


def publish_data_files(store: Store, plan: Plan, folder: str) -> list[str]:
    """Write where the shards of an arm are, in all runs. Earlier runs without the arm are left out, and returned."""
    files: dict[str, list[str]] = {}
    left_out: list[str] = []
    own = absolute_address(store.address)
    for address in [*plan.earlier, own]:
        other = Store(address)
        other_plan = Plan.find(other) if address == own or other.exists(manifest_key(folder)) else None
        if other_plan is None:
            left_out.append(address)
            continue
        for split in other_plan.posts:
            keys = shard_keys(folder, other_plan.shards_of(split))
            files.setdefault(split, []).extend(f"{address}/{key}" for key in keys)
    store.replace(f"{folder}/{DATA_FILES}", json.dumps(files, indent=1, sort_keys=True).encode())
    return left_out


def _describe_files(facts: ShardFacts, plan: Plan, folder: str) -> dict[str, Any]:
    """Return the files of an arm with their counts, from the footers of its shards."""
    shards = list(facts.metadata(folder, plan.shards))
    return {
        "rows": sum(shard.rows for shard in shards),
        "splits": plan.posts,
        "counts": dict(sorted(total_counts(shards).items())),
        "ratio": dict(sorted(sum((Counter(shard.extra["ratio"]) for shard in shards), Counter()).items())),
        "rejected": plan.rejected,
        "files": [
            {"name": f"{name}.parquet", "rows": shard.rows, "sha256": shard.sha256}
            for name, shard in zip(plan.shards, shards, strict=True)
        ],
    }


def _to_json(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False).encode()
