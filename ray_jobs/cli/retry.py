"""`amia retry`: repeat failed posts in a new run."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from amia.errors import SettingsError
from ray_jobs.cli.console import console, format_table, print_json, print_lines
from ray_jobs.cli.options import Config, Images, Json, Overrides
from ray_jobs.settings.job import load_settings
from ray_jobs.storage.status import describe_status

if TYPE_CHECKING:  # keep Ray out of the start-up of the command line
    from ray_jobs.jobs.retry import RetryResult

__all__ = ["retry"]


def retry(
    run: Annotated[str, typer.Argument(help="Run directory with failed posts. It is not changed.")],
    to: Annotated[str, typer.Option("--to", help="New run directory: an empty folder, or s3://, gs://, az://.")],
    overrides: Overrides = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Retry broken images and failed syntheses. Required.")
    ] = False,
    images: Images = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """Create a run that retries failed posts. Shards without failures are copied. If interrupted, run it again."""
    if not failed:
        raise SettingsError("--failed is missing: it selects the posts to retry")
    settings = load_settings(config, overrides or [])
    from ray_jobs.jobs.retry import retry as retry_job

    result = retry_job(run, to, settings, images=images, quiet=json)
    print_retry_result(result, run, to, json=json)


def print_retry_result(result: "RetryResult", run: str, to: str, *, json: bool) -> None:
    """Print what was repaired, what was copied, and the command that continues."""
    if json:
        print_json({"run": to, "of": run, **asdict(result)})
        return
    console.print(f"{run} -> {to}: {result.posts:,} posts in, {result.posts:,} out")
    if result.images and result.image_root is None:
        console.print("  the image folder is not on this machine: broken images stay as they are (use --images DIR)")
    for status, (before, after) in result.images.items():
        console.print(f"  {before:>9,} {describe_status(status)}: {before - after:,} of them readable now")
    if result.redrawn:
        console.print(f"  {result.redrawn:>9,} whose synthesis failed: the command below synthesizes them again")
    if result.refused:
        console.print(f"  {result.refused:>9,} refused by the model's safety check: not retried")
    rows = [["stage", "copied", "to do"]]
    rows += [[name, f"{shards:,}", f"{result.of_shards - shards:,}"] for name, shards in result.stages.items()]
    print_lines(format_table(rows))
    if "scores" in result.stages:
        console.print(f"Mixture and bank are those of {run}, so theta keeps its meaning.")
    console.print(f"Models, predictions and tables stay in {run}. Continue with the settings of that run:")
    console.print(f"  {' '.join(result.command)}")
