"""`amia status RUN`: what is published, what failed, what is left. Reads footers, changes nothing."""

from collections.abc import Mapping
from typing import Any

from ray_jobs.plan import Plan
from ray_jobs.shards import all_facts, total_counts
from ray_jobs.store import Store

__all__ = ["status"]

FOLDERS = ("posts", "embeddings", "scores", "scores-batch", "scores-expected", "synthesized")


def status(run: str) -> dict[str, Any]:
    """By stage: shards and posts published, out of how many, posts per status. An empty run has no stages."""
    store = Store(run)
    plan = Plan.find(store)
    if plan is None:
        return {"run": store.address, "posts": 0, "stages": {}}
    arms = sorted({key.split("/")[1] for key in store.sizes("augmented")})
    predicted = sorted({key.rpartition("/")[0] for key in store.sizes("predictions") if key.endswith(".parquet")})
    folders = [*FOLDERS, *(f"augmented/{arm}" for arm in arms), *predicted]
    stages = {folder: told for folder in folders if (told := _stage(store, plan, folder))}
    return {
        "run": store.address,
        "posts": plan.total,
        "splits": plan.posts,
        "rejected": plan.rejected,
        "stages": stages,
        "mixture": store.exists("mixture/mixture.json"),
        "finished": [arm for arm in arms if store.exists(f"augmented/{arm}/manifest.json")],
    }


def _stage(store: Store, plan: Plan, folder: str) -> Mapping[str, Any] | None:
    sizes = store.sizes(folder)
    if not sizes:
        return None
    wanted = [f"{folder}/{shard}.parquet" for shard in plan.shards]
    published = [key for key in wanted if key in sizes]
    facts = all_facts(store, published)
    return {
        "shards": len(published),
        "of_shards": len(wanted),
        "posts": sum(each.rows for each in facts),
        "bytes": sum(sizes[key] for key in published),
        "counts": dict(sorted(total_counts(facts).items())),
    }
