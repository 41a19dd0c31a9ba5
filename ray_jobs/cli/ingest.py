"""`amia ingest`: read a corpus into a run."""

from typing import TYPE_CHECKING, Annotated

import typer

from ray_jobs.cli.console import console, print_json
from ray_jobs.cli.options import Config, Images, Json, Overrides, Run, exit_if_too_many_failed
from ray_jobs.settings.job import load_settings
from ray_jobs.storage.status import count_failures, describe_status

if TYPE_CHECKING:  # keep Ray out of the start-up of the command line
    from ray_jobs.jobs.ingest import IngestResult
    from ray_jobs.storage.plan import Plan

__all__ = ["ingest", "print_ingest_result"]


def ingest(
    source: Annotated[
        str,
        typer.Argument(help="Folder, file, or URL: CoNLL, *.jsonl, *.parquet, *.tar, Hugging Face data set."),
    ],
    run: Run,
    overrides: Overrides = None,
    images: Images = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="Earlier run. Its posts, and those of the runs it came after, are left out, by id and by content.",
        ),
    ] = None,
    take_changed: Annotated[
        bool, typer.Option("--take-changed", help="Ingest posts that an earlier run holds with other content, too.")
    ] = False,
    config: Config = "default",
    json: Json = False,
) -> None:
    """Read a corpus into immutable shards of posts. If interrupted, run it again to resume."""
    settings = load_settings(config, overrides or [])
    from ray_jobs.jobs.ingest import ingest as ingest_job

    result = ingest_job(source, run, settings, images=images, since=since, take_changed=take_changed, quiet=json)
    plan = result.plan
    if json:
        earlier = {"known": plan.known, "changed": plan.changed} if plan.earlier else {}
        counts = dict(result.counts)
        print_json({"posts": plan.posts, "rejected": plan.rejected, **earlier, "counts": counts, "run": run})
    else:
        print_ingest_result(result, run)
    exit_if_too_many_failed(count_failures(result.counts), plan.total, settings)


def print_ingest_result(result: "IngestResult", run: str) -> None:
    """Print the posts by split and image status, the rejected rows, and the repaired tags."""
    plan = result.plan
    if not plan.total:
        console.print(f"nothing new: {run} was not created")
    splits = ", ".join(f"{count:,} {split}" for split, count in sorted(plan.posts.items()))
    if plan.total:
        console.print(f"{plan.total:,} posts ({splits}) in {len(plan.shards):,} shards -> {run}")
    for status, count in sorted(result.counts.items()):
        console.print(f"  {count:>9,} {describe_status(status)}")
    if plan.known:
        console.print(f"  {plan.known:>9,} posts known from earlier runs, left out")
    if plan.changed:
        console.print(f"  {plan.changed:>9,} posts known with other content: {_describe_changed(run, plan)}")
    if plan.rejected:
        console.print(f"  {plan.rejected:>9,} rows rejected: see {run}/quarantine for the rows and the reasons")
    if plan.repaired:
        console.print(
            f"  {plan.repaired:>9,} orphan I- tags changed to B- in ner_tags (column tags keeps them as read)"
        )


def _describe_changed(run: str, plan: "Plan") -> str:
    if not plan.takes_changed:
        return f"left out (--take-changed ingests them), listed in {run}/quarantine"
    return f"ingested, and earlier runs keep them, too: {run}/{plan.index}/changed-*.txt lists their ids"
