"""What a run holds, to look at and to hand on; and what must be here before one begins."""

from typing import Annotated

import typer

from amia import errors
from ray_jobs.commands.options import Config, Images, Json, Systems, Words
from ray_jobs.settings.job import load_settings

__all__ = ["export", "fetch", "gc", "report", "retry", "status"]


def status(run: Annotated[str, typer.Argument(help="The run.")], json: Json = False) -> None:
    """What is published, in work, failed and left, and how fast it goes; also while a job runs elsewhere."""
    from ray_jobs.jobs.status import status as look
    from ray_jobs.telling.status import tell_status

    tell_status(look(run), json=json)


def report(
    run: Annotated[str, typer.Argument(help="The run.")],
    arm: Annotated[
        str | None, typer.Option("--arm", help="The finished arm to show. Default: adaptive, or the one there is.")
    ] = None,
    json: Json = False,
) -> None:
    """A page to look at: what came out, how theta came about, pictures, failures, curves. Made anew each time."""
    from ray_jobs.jobs.report import report as job
    from ray_jobs.telling.runs import tell_reported

    tell_reported(job(run, arm), json=json)


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
    from ray_jobs.jobs.export import export as job
    from ray_jobs.telling.runs import tell_exported

    settings = load_settings(config, words or [])
    done = job(run, settings, layout=layout, to=to, arms=arm or ["adaptive"], size=size, name=name, quiet=json)
    tell_exported(done, run, to, json=json)


def fetch(words: Words = None, model: Systems = None, config: Config = "default", json: Json = False) -> None:
    """Fetch every model of a config into this machine's cache (HF_HOME), for workers that have no internet."""
    from ray_jobs.jobs.download import fetch as job
    from ray_jobs.telling.runs import tell_fetched

    tell_fetched(job(load_settings(config, words or []), model or []), json=json)


def retry(
    run: Annotated[str, typer.Argument(help="The run in which posts failed. It is not changed.")],
    to: Annotated[str, typer.Option("--to", help="The new run: a folder that is empty, or s3://, gs://, az://.")],
    words: Words = None,
    failed: Annotated[
        bool,
        typer.Option("--failed", help="Try broken images and failed syntheses again; there is nothing else to try."),
    ] = False,
    images: Images = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """Begin a new run with every shard that no failure has reached. Started again, it goes on where it stopped."""
    from ray_jobs.jobs.retry import retry as job
    from ray_jobs.telling.runs import tell_retried

    if not failed:
        raise errors.SettingsError("say what to try again: --failed")
    tell_retried(job(run, to, load_settings(config, words or []), images=images, quiet=json), run, to, json=json)


def gc(
    run: Annotated[str, typer.Argument(help="The run.")],
    older_than: Annotated[
        str, typer.Option("--older-than", help="Age from which something may go: 90s, 30m, 1h, 2d.")
    ] = "1h",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List it, and remove nothing.")] = False,
    json: Json = False,
) -> None:
    """Remove what killed jobs have left, never anything published. May be run while a job runs."""
    from ray_jobs.jobs.gc import collect, seconds_of
    from ray_jobs.telling.runs import tell_collected

    found = collect(run, older_than_s=seconds_of(older_than), dry_run=dry_run)
    tell_collected(found, run, dry_run=dry_run, json=json)
