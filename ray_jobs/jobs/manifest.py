"""`augmented/<arm>/manifest.json`: written once and last, it says which files are the arm, and what they hold.

Nothing in it differs between two runs of the same settings on the same versions; times and hosts stand in `log/`.
"""

import json
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from ray_jobs.jobs.card import publish_card
from ray_jobs.jobs.context import RunContext
from ray_jobs.stages.embed import Embed
from ray_jobs.stages.mix import Mix
from ray_jobs.stages.synthesize import Synthesize
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.layout import manifest_key
from ray_jobs.storage.shards import ShardMetadata, read_all_metadata, total_counts

__all__ = ["publish_manifest"]

PACKAGES = ("amia", "diffusers", "numpy", "pillow", "pyarrow", "ray", "scikit-learn", "torch", "transformers")

BEHIND = {Embed.name: "scores", Synthesize.name: "synthesized"}
"""Stages with a model, by what an arm's identity calls what was made of their output."""


def publish_manifest(job: RunContext, arm: str, identity: Identity, generator: str | None) -> tuple[str, Counter[str]]:
    """Write an arm's card, then its manifest, unless they stand there. Returns its key and posts by statuses."""
    folder = f"{Mix.name}/{arm}"
    names = [f"{shard}.parquet" for shard in job.plan.shards]
    facts = read_all_metadata(job.store, [f"{folder}/{name}" for name in names])
    counts = total_counts(facts)
    behind = _behind(job, identity)
    halved = {
        stage: count for stage, some in behind.items() if (count := sum(each.extra.get("halved", 0) for each in some))
    }
    eager = {stage: parts for stage, some in behind.items() if (parts := _eager(some))}
    about: dict[str, Any] = {
        "arm": arm,
        "rows": sum(each.rows for each in facts),
        "splits": job.plan.posts,
        "counts": dict(sorted(counts.items())),
        "ratio": dict(sorted(sum((Counter(each.extra["ratio"]) for each in facts), Counter()).items())),
        "rejected": job.plan.rejected,
        "files": [
            {"name": name, "rows": each.rows, "sha256": each.sha256} for name, each in zip(names, facts, strict=True)
        ],
        "identity": identity,
        "settings": job.settings.model_dump(mode="json", exclude={"pools", "wait_for_gpus_s"}),
        "generator": generator,
        "versions": {name: version(name) for name in PACKAGES},
        **({"halved": halved} if halved else {}),
        **({"eager": eager} if eager else {}),
    }
    publish_card(job, about)
    key = manifest_key(folder)
    job.store.create(key, json.dumps(about, indent=1, sort_keys=True, ensure_ascii=False).encode())
    for stage, count in halved.items():
        job.say(
            f"{arm}: memory ran out in {stage} at {count:,} inputs, which then went through in smaller micro-batches"
        )
    for stage, parts in eager.items():
        for part, reason in parts.items():
            job.say(f"{arm}: {part} in {stage} could not be compiled and ran as it is, more slowly: {reason}")
    return key, counts


def _behind(job: RunContext, identity: Identity) -> dict[str, list[ShardMetadata]]:
    """What the shards say that the stages with a model, by name, have made for this arm."""
    found: dict[str, list[ShardMetadata]] = {}
    for stage in (stage for stage, made in BEHIND.items() if identity["input"][made] is not None):
        there = job.store.list(stage)
        keys = [key for shard in job.plan.shards if (key := f"{stage}/{shard}.parquet") in there]
        found[stage] = read_all_metadata(job.store, keys)
    return found


def _eager(facts: Iterable[ShardMetadata]) -> dict[str, str]:
    """Parts of a model that some shard's machine could not compile, and why; often none."""
    return {part: reason for each in facts for part, reason in sorted(each.extra.get("eager", {}).items())}
