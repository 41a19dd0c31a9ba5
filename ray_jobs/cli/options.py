"""Options that several commands share, and what all of them do at their end."""

import sys
from typing import Annotated

import typer

from ray_jobs.runtime.console import console
from ray_jobs.settings.job import Settings

__all__ = [
    "TOO_MANY_FAILED",
    "Config",
    "Images",
    "Json",
    "Model",
    "PredictedArm",
    "Run",
    "Systems",
    "Words",
    "exit_if_too_many_failed",
]

TOO_MANY_FAILED = 9
"""Exit code of a job in which more posts failed than `max_failed` allows."""


def _only_json(asked: bool) -> bool:
    """Under --json whatever else there is to say goes to standard error."""
    console.stderr = asked
    return asked


Run = Annotated[str, typer.Option("--run", help="The run: a folder, or s3://, gs://, az://.")]
Config = Annotated[
    str, typer.Option("--config", help="Preset (default, paper, demo) or a YAML file of your own; see the end.")
]
Json = Annotated[
    bool, typer.Option("--json", callback=_only_json, help="One JSON object on standard output, for machines.")
]
Words = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Settings that override the preset.")
]
Model = Annotated[
    str,
    typer.Option("--model", help="A recognizer of `amia train`: its name in the run's models/, its folder, or a URL."),
]
Systems = Annotated[list[str] | None, typer.Option("--model", help="A system to train; several times for several.")]
PredictedArm = Annotated[str, typer.Option("--arm", help="The finished arm whose images it is shown.")]
Images = Annotated[str | None, typer.Option("--images", help="Folder of the images, where it is not beside the texts.")]


def exit_if_too_many_failed(failed: int, posts: int, settings: Settings) -> None:
    """Ends the command with an error where too many posts failed."""
    if failed > settings.max_failed * posts:
        print(
            f"error: {failed:,} of {posts:,} posts failed, more than max_failed={settings.max_failed:g} allows. "
            "Everything is published with its reason; look at the cause, or raise max_failed",
            file=sys.stderr,
            flush=True,
        )
        raise typer.Exit(TOO_MANY_FAILED)
