"""`amia report`: write the report page of a run."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ray_jobs.cli.console import console, print_json
from ray_jobs.cli.options import Json, RunArgument, WithEarlier

if TYPE_CHECKING:  # keep the libraries of the report out of the start-up of the command line
    from ray_jobs.jobs.report import ReportResult

__all__ = ["report"]


def report(
    run: RunArgument,
    arm: Annotated[
        str | None, typer.Option("--arm", help="Finished arm to show. Default: adaptive, else the first finished one.")
    ] = None,
    with_earlier: WithEarlier = False,
    json: Json = False,
) -> None:
    """Write an HTML page about a run: results, theta, images, failures, curves. Replaces an earlier page."""
    from ray_jobs.jobs.report import report as report_job

    print_report_result(report_job(run, arm, with_earlier=with_earlier), json=json)


def print_report_result(result: "ReportResult", *, json: bool) -> None:
    """Print the sections of the page, and its path."""
    if json:
        print_json(asdict(result))
        return
    sections = ", ".join(result.sections)
    console.print(f"arm {result.arm}, {result.posts:,} posts: {sections} ({result.bytes / 1e6:,.2f} MB)")
    if result.outlook:
        console.print(result.outlook)
    console.print(f"-> {result.run}/{result.key}")
