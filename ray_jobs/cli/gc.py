"""`amia gc`: remove what killed jobs left behind."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ray_jobs.cli.console import console, format_table, print_json, print_lines
from ray_jobs.cli.options import Json, RunArgument
from ray_jobs.storage.layout import SYNTHESIZED

if TYPE_CHECKING:  # keep the storage libraries out of the start-up of the command line
    from ray_jobs.jobs.gc import Orphan

__all__ = ["gc"]


def gc(
    run: RunArgument,
    older_than: Annotated[
        str, typer.Option("--older-than", help="Minimum age of what is removed: 90s, 30m, 1h, 2d.")
    ] = "1h",
    synthesized: Annotated[
        bool, typer.Option("--synthesized", help="Also remove the synthesized images, if all their arms are mixed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files, and remove nothing.")] = False,
    json: Json = False,
) -> None:
    """Remove what killed jobs left behind; --synthesized also removes images that are in all arms. Safe while a job
    runs.
    """
    from ray_jobs.jobs.gc import collect, parse_duration
    from ray_jobs.storage.removed_images import read_removed_images, removed_images_advice
    from ray_jobs.storage.store import Store

    orphans = collect(run, older_than_s=parse_duration(older_than), dry_run=dry_run, synthesized=synthesized)
    print_orphans(orphans, run, dry_run=dry_run, json=json)
    if not json and (images := read_removed_images(Store(run))) is not None:
        console.print(
            f"Synthesized images of {', '.join(images.arms)}, {_megabytes(images.bytes)}, were removed on purpose: "
            f"{removed_images_advice(Store(run), images.arms[0])} makes the same ones again"
        )


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
    others = "other " if SYNTHESIZED in {orphan.key for orphan in orphans} else ""
    untouched = f"{others}published files are untouched"
    console.print(f"{run}: {_files(files.total())}, {_megabytes(size.total())} {removed}; {untouched}")


def _files(count: int) -> str:
    return f"{count:,} file" if count == 1 else f"{count:,} files"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
