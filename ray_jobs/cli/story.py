"""The whole story in one command."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["demo"]


def demo(
    run: Annotated[Path, typer.Option("--run", help="Where it goes; an earlier demo there is gone on with.")] = Path(
        "runs/demo"
    ),
    posts: Annotated[int, typer.Option("--posts", min=400, help="Posts to draw.")] = 1200,
) -> None:
    """The whole story on a drawn world, offline, in minutes."""
    from ray_jobs.jobs.demo import demo as story

    story(run, posts)
