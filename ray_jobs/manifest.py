"""`augmented/<arm>/manifest.json`: written once and last, it says which files are the arm, and what they hold.

Nothing in it differs between two runs of the same settings on the same versions; times and hosts stand in `log/`.
"""

import json
from collections import Counter
from importlib.metadata import version
from typing import Any

from amia.settings import shipped_names
from ray_jobs.card import publish_card
from ray_jobs.identity import Identity
from ray_jobs.job import Job
from ray_jobs.shards import all_facts, total_counts
from ray_jobs.stages.mix import Mix

__all__ = ["publish_manifest"]

PACKAGES = ("amia", "diffusers", "numpy", "pillow", "pyarrow", "ray", "scikit-learn", "torch", "transformers")


def publish_manifest(job: Job, arm: str, identity: Identity, generator: str | None) -> tuple[str, Counter[str]]:
    """Write an arm's card, then its manifest, unless they stand there. Returns its key and posts by statuses."""
    folder = f"{Mix.name}/{arm}"
    names = [f"{shard}.parquet" for shard in job.plan.shards]
    facts = all_facts(job.store, [f"{folder}/{name}" for name in names])
    counts = total_counts(facts)
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
        "settings": shipped_names(job.settings.model_dump(mode="json", exclude={"pools", "wait_for_gpus_s"})),
        "generator": generator,
        "versions": {name: version(name) for name in PACKAGES},
    }
    publish_card(job, about)
    key = f"{folder}/manifest.json"
    job.store.create(key, json.dumps(about, indent=1, sort_keys=True, ensure_ascii=False).encode())
    return key, counts
