"""What a run holds, to look at and to hand on; and what must be here before one begins."""

from typing import Annotated

import typer

from ray_jobs.commands.options import Config, Json, Systems, Words
from ray_jobs.settings import load_settings

__all__ = ["export", "fetch", "report", "status"]


def status(run: Annotated[str, typer.Argument(help="The run.")], json: Json = False) -> None:
    """What is published, what failed, what is left."""
    from ray_jobs import told
    from ray_jobs.status import status as look

    told.tell_status(look(run), json=json)


def report(
    run: Annotated[str, typer.Argument(help="The run.")],
    arm: Annotated[
        str | None, typer.Option("--arm", help="The finished arm to show. Default: adaptive, or the one there is.")
    ] = None,
    json: Json = False,
) -> None:
    """A page to look at: what came out, how theta came about, pictures, failures, curves. Made anew each time."""
    from ray_jobs import told
    from ray_jobs.report import report as job

    told.tell_reported(job(run, arm), json=json)


def export(
    run: Annotated[str, typer.Argument(help="The run: a folder, or s3://, gs://, az://.")],
    layout: Annotated[
        str,
        typer.Option(
            "--layout", help="umt: text files and <id>.jpg, as UMT, MAF and others read them; webdataset: tar files."
        ),
    ],
    to: Annotated[str, typer.Option("--to", metavar="DIR", help="Where to: a folder of its own, or a URL.")],
    words: Words = None,
    arm: Annotated[
        list[str] | None,
        typer.Option("--arm", help="A finished arm; several times for several, all of one size. Default: adaptive."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option("--size", metavar="PX", help="Pixels a side. Default: the run's own; in umt at least 256."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="umt: name of the image folder. Default: images.")] = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """Write arms of a run as other people's code reads them. Started again, it goes on where it stopped."""
    from ray_jobs import told
    from ray_jobs.export import export as job

    settings = load_settings(config, words or [])
    done = job(run, settings, layout=layout, to=to, arms=arm or ["adaptive"], size=size, name=name, quiet=json)
    told.tell_exported(done, run, to, json=json)


def fetch(words: Words = None, model: Systems = None, config: Config = "default", json: Json = False) -> None:
    """Fetch every model of a config into this machine's cache (HF_HOME), for workers that have no internet."""
    from ray_jobs import told
    from ray_jobs.fetch import fetch as job

    told.tell_fetched(job(load_settings(config, words or []), model or []), json=json)
