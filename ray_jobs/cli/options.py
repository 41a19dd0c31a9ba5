"""Options that several commands share, and the check for too many failed posts at the end of a command."""

import sys
from typing import Annotated

import typer

from ray_jobs.cli.console import console
from ray_jobs.settings.job import Settings

__all__ = [
    "TOO_MANY_FAILED",
    "Config",
    "Images",
    "InputArm",
    "Json",
    "Model",
    "Overrides",
    "Run",
    "RunArgument",
    "WithEarlier",
    "exit_if_too_many_failed",
]

TOO_MANY_FAILED = 9
"""Exit code of a job in which more posts failed than `max_failed` allows."""


def _redirect_console(json: bool) -> bool:
    """With --json, print everything except the JSON object to standard error."""
    console.stderr = json
    return json


Run = Annotated[str, typer.Option("--run", help="Run directory: a folder, or s3://, gs://, az://.")]
RunArgument = Annotated[str, typer.Argument(help="Run directory: a folder, or s3://, gs://, az://.")]
Config = Annotated[
    str, typer.Option("--config", help="Preset (default, paper, demo) or YAML file. Settings are listed at the end.")
]
Json = Annotated[bool, typer.Option("--json", callback=_redirect_console, help="Print one JSON object to stdout.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Settings that override the config.")
]
Model = Annotated[
    str,
    typer.Option("--model", help="Trained recognizer: its name in the run's models/, its folder, or a URL."),
]
InputArm = Annotated[str, typer.Option("--arm", help="Finished arm whose images the recognizer receives.")]
Images = Annotated[
    str | None,
    typer.Option("--images", help="Image folder or s3://, gs://, az:// prefix, if it is not next to the text files."),
]


WithEarlier = Annotated[
    bool, typer.Option("--with-earlier", help="Include the runs that this one comes after (amia ingest --since).")
]


def exit_if_too_many_failed(failed: int, posts: int, settings: Settings) -> None:
    """Raise typer.Exit with code 9 if more than the share `max_failed` of the posts failed."""
    if failed > settings.max_failed * posts:
        print(
            f"error: {failed:,} of {posts:,} posts failed, more than max_failed={settings.max_failed:g} allows. "
            "All posts are published with their status; fix the cause, or raise max_failed",
            file=sys.stderr,
            flush=True,
        )
        raise typer.Exit(TOO_MANY_FAILED)
