"""Runs that are looked at, handed on, mended and tidied."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ray_jobs.telling.lines import aligned, say, say_json
from ray_jobs.telling.statuses import why
from ray_jobs.runtime.console import console

if TYPE_CHECKING:  # types alone: whoever speaks need not wait for Ray
    from amia.export.summary import Summary
    from ray_jobs.jobs.download import Fetched
    from ray_jobs.jobs.gc import Orphan
    from ray_jobs.jobs.report import Reported
    from ray_jobs.jobs.retry import Retried

__all__ = ["tell_collected", "tell_exported", "tell_fetched", "tell_reported", "tell_retried"]


def tell_exported(done: "Summary", run: str, to: str, *, json: bool) -> None:
    """Posts by arm, and what was left out or changed on the way."""
    if json:
        say_json({"run": run, "to": to, **done.to_json()})
        return
    for arm, each in done.arms.items():
        splits = ", ".join(f"{count:,} {split}" for split, count in sorted(each.posts.items()))
        console.print(f"{arm}: {each.total:,} posts ({splits}) -> {to}/{arm}")
        for count, said in (
            (each.without_image, "without an image in this arm"),
            (each.untagged, "left out: they have no tags"),
            (each.renamed, "renamed: their ids are no file names"),
        ):
            if count:
                console.print(f"  {count:>9,} {said}")
    console.print(f"images of {done.size} x {done.size}; {to}/README.md says what public code needs")


def tell_reported(done: "Reported", *, json: bool) -> None:
    """Where the page stands, and what is on it."""
    if json:
        say_json(asdict(done))
        return
    console.print(f"arm {done.arm}, {done.posts:,} posts: {', '.join(done.sections)} ({done.bytes / 1e6:,.2f} MB)")
    console.print(f"-> {done.run}/{done.key}")


def tell_retried(done: "Retried", run: str, to: str, *, json: bool) -> None:
    """What was mended, what was taken over, and how it goes on."""
    if json:
        say_json({"run": to, "of": run, **asdict(done)})
        return
    say([f"{run} -> {to}: {done.posts:,} posts in, {done.posts:,} out"])
    if done.images and done.image_root is None:
        say(["  no folder of images is on this machine: broken ones stay as they are (--images DIR names one)"])
    for status, (before, after) in done.images.items():
        say([f"  {before:>9,} {why(status)}: {before - after:,} could be read now"])
    if done.redrawn:
        say([f"  {done.redrawn:>9,} whose synthesis failed: drawn again by the command below"])
    if done.refused:
        say([f"  {done.refused:>9,} whose picture the model's safety check refused: they stay so"])
    rows = [["stage", "taken over", "to be made"]]
    rows += [[name, f"{shards:,}", f"{done.of_shards - shards:,}"] for name, shards in done.stages.items()]
    say(aligned(rows))
    if "scores" in done.stages:
        say([f"Mixture and bank are those of {run}, so theta means the same."])
    say([f"Models, predictions and tables stay in {run}. Go on with the settings that made it:"])
    say([f"  {' '.join(done.command)}"])


def tell_collected(found: "Sequence[Orphan]", run: str, *, dry_run: bool, json: bool) -> None:
    """The orphans by kind; of a dry run each of them."""
    if json:
        say_json({"run": run, "dry_run": dry_run, "orphans": [asdict(each) for each in found]})
        return
    if dry_run:
        say([f"{each.key}: {each.what}, {each.bytes:,} bytes in {_files(each.files)}" for each in found])
    files, size = Counter[str](), Counter[str]()
    for each in found:
        files[each.what] += each.files
        size[each.what] += each.bytes
    would = "would be removed" if dry_run else "removed"
    rows = [[what, _files(files[what]), f"{size[what] / 1e6:,.1f} MB"] for what in sorted(files)]
    say(aligned(rows) if rows else [])
    say([f"{run}: {_files(files.total())}, {size.total() / 1e6:,.1f} MB {would}; nothing published was touched"])


def _files(count: int) -> str:
    return f"{count:,} file" if count == 1 else f"{count:,} files"


def tell_fetched(done: Sequence["Fetched"], *, json: bool) -> None:
    """Each model's role, what it is, and where its files lie."""
    if json:
        say_json({each.role: {"identity": each.identity, "folder": str(each.folder)} for each in done})
        return
    for each in done:
        console.print(f"{each.role}: {each.identity} -> {each.folder}")
