"""`amia remove`: remove posts from a run, for good."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amia.errors import SettingsError
from ray_jobs.cli.console import console, print_json, print_lines
from ray_jobs.cli.options import Config, Json, Overrides, RunArgument
from ray_jobs.settings.job import load_settings

if TYPE_CHECKING:  # keep Ray out of the start-up of the command line
    from ray_jobs.jobs.remove import RemoveResult

__all__ = ["print_remove_results", "remove"]

MAX_SHOWN = 20
"""Ids that are printed; `--json` has all of them."""


def remove(
    run: RunArgument,
    ids: Annotated[
        str, typer.Option("--ids", metavar="FILE", help="Ids of the posts, one a line; `-`: standard input.")
    ],
    overrides: Overrides = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """Remove posts from every file of a run and of those that it comes after, for good.

    If interrupted, run it again with the same ids.
    """
    settings, wanted = load_settings(config, overrides or []), _read_ids(ids)
    from ray_jobs.jobs.remove import remove as remove_job

    print_remove_results(remove_job(run, wanted, settings, quiet=json), json=json)


def print_remove_results(results: "Sequence[RemoveResult]", *, json: bool) -> None:
    """Print what was removed from each run, and what the command could not reach."""
    missing = [post_id for post_id in results[-1].missing if all(post_id in result.missing for result in results)]
    if json:
        print_json({"runs": [asdict(result) for result in results], "missing": missing})
        return
    for result in results:
        splits = ", ".join(f"{count:,} {split}" for split, count in sorted(result.posts.items()))
        console.print(f"{result.run}: {sum(result.posts.values()):,} posts removed{f' ({splits})' if splits else ''}")
        print_lines(_describe(result))
    if missing:
        more = f" and {len(missing) - MAX_SHOWN:,} more" if len(missing) > MAX_SHOWN else ""
        console.print(f"{len(missing):,} ids are in no run: {', '.join(missing[:MAX_SHOWN])}{more}")


def _describe(result: "RemoveResult") -> Iterator[str]:
    if result.shards:
        yield f"  {result.shards:,} shards were published again without them, in every folder that holds posts"
    if result.rejected:
        yield f"  {result.rejected:,} rows with these ids were removed from quarantine/"
    if result.bank:
        yield (
            f"  {result.bank:,} posts of the bank were replaced by the next training posts. The mixture stays frozen "
            "and theta of the posts that stay does not change; images that are scored later see the renewed bank"
        )
    if result.already:
        yield f"  {result.already:,} ids were removed before"
    for arm in result.again:
        yield f"  arm {arm} shows the images of other posts: `amia augment --arm {arm}` makes its affected shards again"
    made_before = [f"models/{name}" for name in result.models] + result.exports
    if made_before:
        yield "These were made before the removal and may hold what was removed:"
        yield from (f"  {name}" for name in made_before)
    if result.foreign:
        yield f"Not made by amia, and left as they are: {', '.join(result.foreign)}"


def _read_ids(source: str) -> list[str]:
    """Read ids, one a line. Raises SettingsError if the file cannot be read."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--ids {source} cannot be read: {error}") from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return [line for line in lines if line]
