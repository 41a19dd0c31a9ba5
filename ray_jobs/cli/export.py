"""`amia export`: write arms of a run in other layouts."""

from typing import TYPE_CHECKING, Annotated

import typer

from ray_jobs.cli.console import console, print_json
from ray_jobs.cli.options import Config, Json, Overrides, RunArgument, WithEarlier
from ray_jobs.settings.job import load_settings

if TYPE_CHECKING:  # keep Ray out of the start-up of the command line
    from amia.export.shard import ExportSummary

__all__ = ["export"]


def export(
    run: RunArgument,
    layout: Annotated[
        str,
        typer.Option(
            "--layout", help="umt: text files and <id>.jpg, as UMT, MAF and others read them; webdataset: tar files."
        ),
    ],
    to: Annotated[str, typer.Option("--to", metavar="DIR", help="Destination: a new folder or URL.")],
    overrides: Overrides = None,
    arm: Annotated[
        list[str] | None,
        typer.Option("--arm", help="Finished arm. Repeat for several, all of one image size. Default: adaptive."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option("--size", metavar="PX", help="Image size in pixels. Default: that of the run; umt: at least 256."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the image folder (umt only). Default: images.")
    ] = None,
    with_earlier: WithEarlier = False,
    config: Config = "default",
    json: Json = False,
) -> None:
    """Write arms of a run in a layout that other software reads. If interrupted, run it again to resume."""
    settings = load_settings(config, overrides or [])
    from ray_jobs.jobs.export import export as export_job

    arms = arm or ["adaptive"]
    summary = export_job(
        run, settings, layout=layout, to=to, arms=arms, size=size, name=name, with_earlier=with_earlier, quiet=json
    )
    print_export_summary(summary, run, to, json=json)


def print_export_summary(summary: "ExportSummary", run: str, to: str, *, json: bool) -> None:
    """Print the posts of each arm, and those that were left out or renamed."""
    if json:
        print_json({"run": run, "to": to, **summary.to_json()})
        return
    for name, arm in summary.arms.items():
        splits = ", ".join(f"{count:,} {split}" for split, count in sorted(arm.posts.items()))
        console.print(f"{name}: {arm.total:,} posts ({splits}) -> {to}/{name}")
        for count, description in (
            (arm.without_image, "without an image in this arm"),
            (arm.untagged, "omitted: they have no tags"),
            (arm.renamed, "renamed: their ids are not valid file names"),
        ):
            if count:
                console.print(f"  {count:>9,} {description}")
    console.print(f"images of {summary.size} x {summary.size} px; {to}/README.md describes how to use the files")
