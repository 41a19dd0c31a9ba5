"""From a corpus to augmented images."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ray_jobs.settings.job import Settings
from ray_jobs.telling.lines import aligned, say, say_json
from ray_jobs.telling.statuses import by_part, why
from ray_jobs.runtime.console import console

if TYPE_CHECKING:  # types alone: whoever speaks need not wait for Ray
    from ray_jobs.jobs.augment import Augmented
    from ray_jobs.jobs.ingest import Ingested
    from ray_jobs.jobs.execution_plan import Planned

__all__ = ["tell_augmented", "tell_ingested", "tell_planned"]


def tell_ingested(done: "Ingested", run: str) -> None:
    """Posts by split and image status, what was rejected and repaired."""
    plan = done.plan
    splits = ", ".join(f"{count:,} {split}" for split, count in sorted(plan.posts.items()))
    console.print(f"{plan.total:,} posts ({splits}) in {len(plan.shards):,} shards of {run}")
    for status, count in sorted(done.counts.items()):
        console.print(f"  {count:>9,} {why(status)}")
    if plan.rejected:
        console.print(f"  {plan.rejected:>9,} rows were no posts: {run}/quarantine says which and why")
    if plan.repaired:
        console.print(f"  {plan.repaired:>9,} orphan I- tags became B- in ner_tags (tags stays as read)")


def tell_augmented(done: "Augmented", run: str) -> None:
    """The accounting: every post that went in, by what became of its two pictures."""
    for arm, counts in done.counts.items():
        console.print(f"{arm}: {done.posts:,} posts in, {counts.total():,} out -> {run}/augmented/{arm}")
        for part in ("image", "synthesis"):
            for status, count in sorted(by_part(counts, part).items(), key=lambda item: -item[1]):
                console.print(f"  {count:>9,} {why(status)}")


def tell_planned(steps: Sequence["Planned"], settings: Settings, *, json: bool) -> None:
    """The executions of a dry run, what each still has to do, and what its actors ask for."""
    if json:
        say_json({"steps": [{**asdict(step), "pool": step.pool.model_dump()} for step in steps]})
        return
    rows = [["stage", "shards", "posts", "MB", "actors", "CPUs", "GPUs", "lease"]]
    for step in steps:
        pool = step.pool
        actors = f"{pool.min}-{pool.max}" if pool.max > pool.min else str(pool.max)
        left = [f"{step.shards:,}", f"{step.posts:,}", f"{step.megabytes:,.1f}"]
        rows.append(
            [f"{step.execution} {step.stage}", *left, actors, f"{pool.cpus:g}", f"{pool.gpus:g}", str(pool.lease)]
        )
    say(aligned(rows))
    say(
        [
            "Left to do: shards, posts, MB to write (estimated). Actors: CPUs and GPUs of each, shards a lease.",
            "Stages of one number stream side by side; before the next number, every shard of it is published.",
            "On a machine of its own without a GPU, GPUs count as 0.",
            f"encoder {settings.clip.model}, generator {settings.generator.model}, {settings.image.size} px",
        ]
    )
