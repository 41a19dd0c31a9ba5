"""`amia gc`: remove what killed jobs left behind."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ray_jobs.cli.console import console, format_table, print_json, print_lines
from ray_jobs.cli.options import Json, RunArgument

if TYPE_CHECKING:  # keep the storage libraries out of the start-up of the command line
    from ray_jobs.jobs.gc import Orphan

__all__ = ["gc"]


def gc(
    run: RunArgument,
    older_than: Annotated[
        str, typer.Option("--older-than", help="Minimum age of what is removed: 90s, 30m, 1h, 2d.")
    ] = "1h",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files, and remove nothing.")] = False,
    json: Json = False,
) -> None:
    """Remove what killed jobs left behind, never anything published. Safe while a job runs."""
    from ray_jobs.jobs.gc import collect, parse_duration

    orphans = collect(run, older_than_s=parse_duration(older_than), dry_run=dry_run)
    print_orphans(orphans, run, dry_run=dry_run, json=json)


def print_orphans(orphans: "Sequence[Orphan]", run: str, *, dry_run: bool, json: bool) -> None:
    """Print files and bytes by kind of orphan; for a dry run also each orphan."""
    if json:
        print_json({"run": run, "dry_run": dry_run, "orphans": [asdict(orphan) for orphan in orphans]})
        return
    if dry_run:
        print_lines(
            f"{orphan.key}: {orphan.what}, {orphan.bytes:,} bytes in {_files(orphan.files)}" for orphan in orphans
        )
    files, size = Counter[str](), Counter[str]()
    for orphan in orphans:
        files[orphan.what] += orphan.files
        size[orphan.what] += orphan.bytes
    if files:
        print_lines(format_table([[what, _files(files[what]), _megabytes(size[what])] for what in sorted(files)]))
    removed = "would be removed" if dry_run else "removed"
    console.print(
        f"{run}: {_files(files.total())}, {_megabytes(size.total())} {removed}; published files are untouched"
    )


def _files(count: int) -> str:
    return f"{count:,} file" if count == 1 else f"{count:,} files"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
