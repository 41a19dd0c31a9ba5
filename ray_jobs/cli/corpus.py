"""From a corpus to augmented images."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ray_jobs.cli.options import Config, Images, Json, Run, Words, exit_if_too_many_failed
from ray_jobs.cli.output import format_table, print_json, print_lines
from ray_jobs.runtime.console import console
from ray_jobs.settings.job import Settings, load_settings
from ray_jobs.storage.status import count_failures, describe_status, group_by_part

if TYPE_CHECKING:  # types alone: whoever speaks need not wait for Ray
    from ray_jobs.jobs.augment import AugmentResult
    from ray_jobs.jobs.execution_plan import PlannedStage
    from ray_jobs.jobs.ingest import IngestResult

__all__ = ["augment", "doctor", "ingest", "tell_augmented", "tell_ingested", "tell_planned"]


# MERGED FROM ray_jobs.cli.corpus: From a corpus to augmented images.
def doctor(
    source: Annotated[str, typer.Argument(help="As for `amia ingest`.")],
    images: Images = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """What is wrong with a corpus, before it costs money. Reads everything, writes nothing."""
    from amia.doctor import render_report, scan_corpus
    from amia.readers import open_corpus
    from ray_jobs.cli.output import print_json, print_lines

    diagnosis = scan_corpus(open_corpus(source, images), load_settings(config).image)
    if json:
        print_json(diagnosis.to_json())
    else:
        print_lines(render_report(diagnosis))


def ingest(
    source: Annotated[str, typer.Argument(help="CoNLL folder, *.jsonl, *.parquet, *.tar, or a Hugging Face data set.")],
    run: Run,
    words: Words = None,
    images: Images = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """Read a corpus into immutable shards of posts. Started again, it goes on where it stopped."""
    from ray_jobs.cli.output import print_json
    from ray_jobs.jobs.ingest import ingest as job

    settings = load_settings(config, words or [])
    done = job(source, run, settings, images=images, quiet=json)
    if json:
        print_json({"posts": done.plan.posts, "rejected": done.plan.rejected, "counts": dict(done.counts), "run": run})
    else:
        tell_ingested(done, run)
    exit_if_too_many_failed(count_failures(done.counts), done.plan.total, settings)


def augment(
    run: Run,
    words: Words = None,
    config: Config = "default",
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            help="adaptive (default), original, synthesized, cosine, cosine-minmax, fixed-0.3 (any share), text; "
            "give it several times for several.",
        ),
    ] = None,
    mixture: Annotated[
        str | None, typer.Option("--mixture", help="A run or folder whose frozen mixture and bank are taken.")
    ] = None,
    accept_mixture: Annotated[
        bool, typer.Option("--accept-mixture", help="Go on with a mixture that the checks would refuse.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run where, and start nothing.")] = False,
    json: Json = False,
) -> None:
    """Give every post of a run its augmented image. Started again, it goes on where it stopped."""
    from ray_jobs.cli.output import print_json

    settings = load_settings(config, words or [])
    arms = arm or ["adaptive"]
    if dry_run:
        from ray_jobs.jobs.execution_plan import plan_augment

        steps = plan_augment(run, settings, arms, mixture=mixture, accept_mixture=accept_mixture)
        tell_planned(steps, settings, json=json)
        return
    from ray_jobs.jobs.augment import augment as job

    done = job(run, settings, arms=arms, mixture=mixture, accept_mixture=accept_mixture, quiet=json)
    if json:
        print_json(
            {
                "posts": done.posts,
                "counts": {arm: dict(each) for arm, each in done.counts.items()},
                "manifests": done.manifests,
                "run": run,
            }
        )
    else:
        tell_augmented(done, run)
    exit_if_too_many_failed(done.failed, done.posts, settings)


def tell_ingested(done: "IngestResult", run: str) -> None:
    """Posts by split and image status, what was rejected and repaired."""
    plan = done.plan
    splits = ", ".join(f"{count:,} {split}" for split, count in sorted(plan.posts.items()))
    console.print(f"{plan.total:,} posts ({splits}) in {len(plan.shards):,} shards of {run}")
    for status, count in sorted(done.counts.items()):
        console.print(f"  {count:>9,} {describe_status(status)}")
    if plan.rejected:
        console.print(f"  {plan.rejected:>9,} rows were no posts: {run}/quarantine says which and why")
    if plan.repaired:
        console.print(f"  {plan.repaired:>9,} orphan I- tags became B- in ner_tags (tags stays as read)")


def tell_augmented(done: "AugmentResult", run: str) -> None:
    """The accounting: every post that went in, by what became of its two images."""
    for arm, counts in done.counts.items():
        console.print(f"{arm}: {done.posts:,} posts in, {counts.total():,} out -> {run}/augmented/{arm}")
        for part in ("image", "synthesis"):
            for status, count in sorted(group_by_part(counts, part).items(), key=lambda item: -item[1]):
                console.print(f"  {count:>9,} {describe_status(status)}")


def tell_planned(steps: Sequence["PlannedStage"], settings: Settings, *, json: bool) -> None:
    """The executions of a dry run, what each still has to do, and what its actors ask for."""
    if json:
        print_json({"steps": [{**asdict(step), "pool": step.pool.model_dump()} for step in steps]})
        return
    rows = [["stage", "shards", "posts", "MB", "actors", "CPUs", "GPUs", "lease"]]
    for step in steps:
        pool = step.pool
        actors = f"{pool.min}-{pool.max}" if pool.max > pool.min else str(pool.max)
        left = [f"{step.shards:,}", f"{step.posts:,}", f"{step.megabytes:,.1f}"]
        rows.append(
            [f"{step.execution} {step.stage}", *left, actors, f"{pool.cpus:g}", f"{pool.gpus:g}", str(pool.lease)]
        )
    print_lines(format_table(rows))
    print_lines(
        [
            "Left to do: shards, posts, MB to write (estimated). Actors: CPUs and GPUs of each, shards a lease.",
            "Stages of one number stream side by side; before the next number, every shard of it is published.",
            "On a machine of its own without a GPU, GPUs count as 0.",
            f"encoder {settings.clip.model}, generator {settings.generator.model}, {settings.image.size} px",
        ]
    )
