"""`amia augment`: create the augmented images of a run."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ray_jobs.cli.console import console, format_table, print_json, print_lines
from ray_jobs.cli.options import Config, Json, Overrides, Run, exit_if_too_many_failed
from ray_jobs.settings.job import Settings, load_settings
from ray_jobs.storage.layout import SYNTHESIZED, arm_folder
from ray_jobs.storage.status import describe_status, group_by_part

if TYPE_CHECKING:  # keep Ray out of the start-up of the command line
    from ray_jobs.jobs.augment import AugmentResult
    from ray_jobs.jobs.execution_plan import PlannedStage

__all__ = ["augment", "print_augment_result", "print_planned_stages"]


def augment(
    run: Run,
    overrides: Overrides = None,
    config: Config = "default",
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            help="adaptive (default), two-sided, original, synthesized, cosine, cosine-minmax, fixed-0.3 (any ratio), "
            "or text. Repeat for several arms.",
        ),
    ] = None,
    mixture: Annotated[
        str | None, typer.Option("--mixture", help="Run or folder whose fitted mixture and bank are used.")
    ] = None,
    accept_mixture: Annotated[
        bool, typer.Option("--accept-mixture", help="Continue even if the fitted mixture fails its checks.")
    ] = False,
    synthesize_again: Annotated[
        bool, typer.Option("--synthesize-again", help="Make removed synthesized images again, the same ones.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run where, and start nothing.")] = False,
    json: Json = False,
) -> None:
    """Create the augmented image of every post of a run. If interrupted, run it again to resume."""
    settings = load_settings(config, overrides or [])
    arms = arm or ["adaptive"]
    if dry_run:
        from ray_jobs.jobs.execution_plan import plan_augment

        stages = plan_augment(
            run,
            settings,
            arms,
            mixture=mixture,
            accept_mixture=accept_mixture,
            synthesize_again=synthesize_again,
        )
        print_planned_stages(stages, settings, json=json)
        return
    from ray_jobs.jobs.augment import augment as augment_job

    result = augment_job(
        run,
        settings,
        arms=arms,
        mixture=mixture,
        accept_mixture=accept_mixture,
        synthesize_again=synthesize_again,
        quiet=json,
    )
    if json:
        counts = {name: dict(arm_counts) for name, arm_counts in result.counts.items()}
        print_json({"posts": result.posts, "counts": counts, "manifests": result.manifests, "run": run})
    else:
        print_augment_result(result, run)
    exit_if_too_many_failed(result.failed, result.posts, settings)


def print_augment_result(result: "AugmentResult", run: str) -> None:
    """Print the number of posts of each arm, by the status of the original and of the synthesized image."""
    for arm, counts in result.counts.items():
        console.print(f"{arm}: {result.posts:,} posts in, {counts.total():,} out -> {run}/{arm_folder(arm)}")
        for part in ("image", "synthesis"):
            for status, count in sorted(group_by_part(counts, part).items(), key=lambda item: -item[1]):
                console.print(f"  {count:>9,} {describe_status(status)}")


def print_planned_stages(stages: Sequence["PlannedStage"], settings: Settings, *, json: bool) -> None:
    """Print the executions of a dry run: the remaining work of each stage, and what its actors require."""
    if json:
        steps = [{**asdict(stage), "pool": stage.pool.model_dump()} for stage in stages]
        print_json({"steps": steps, "megabytes_kept": _megabytes_kept(stages)})
        return
    rows = [["stage", "shards", "posts", "MB", "actors", "CPUs", "GPUs", "lease"]]
    for stage in stages:
        pool = stage.pool
        actors = f"{pool.min}-{pool.max}" if pool.max > pool.min else str(pool.max)
        work = [f"{stage.shards:,}", f"{stage.posts:,}", f"{stage.megabytes:,.1f}"]
        rows.append(
            [f"{stage.execution} {stage.stage}", *work, actors, f"{pool.cpus:g}", f"{pool.gpus:g}", str(pool.lease)]
        )
    print_lines(format_table(rows))
    kept = _megabytes_kept(stages)
    print_lines(
        [
            "shards, posts, MB: remaining work (MB estimated). CPUs, GPUs: of each actor. lease: shards per task.",
            f"{kept['always']:,.1f} MB in all, of which {kept['until_mixed']:,.1f} MB stay with "
            f"synthesized.keep=until_mixed (now {settings.synthesized.keep}).",
            "Stages with the same number run concurrently; the next number starts once all their shards are published.",
            "On a single machine without a GPU, GPUs count as 0.",
            f"encoder {settings.clip.model}, generator {settings.generator.model}, {settings.image.size} px",
        ]
    )


def _megabytes_kept(stages: Sequence["PlannedStage"]) -> dict[str, float]:
    """Return what stays of the output of the remaining stages, by value of `synthesized.keep`."""
    always = sum(stage.megabytes for stage in stages)
    return {"always": always, "until_mixed": always - sum(s.megabytes for s in stages if s.stage == SYNTHESIZED)}
