"""What a run holds, to look at and to hand on; and what must be here before one begins."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amia import errors
from ray_jobs.cli.options import Config, Images, Json, Systems, Words
from ray_jobs.cli.output import format_table, print_json, print_lines
from ray_jobs.runtime.console import console
from ray_jobs.runtime.throughput import format_duration
from ray_jobs.settings.job import load_settings
from ray_jobs.storage.status import describe_status

if TYPE_CHECKING:  # types alone: whoever speaks need not wait for Ray
    from amia.export.shard import ExportSummary
    from ray_jobs.jobs.download import DownloadResult
    from ray_jobs.jobs.gc import Orphan
    from ray_jobs.jobs.report import ReportResult
    from ray_jobs.jobs.retry import RetryResult

__all__ = [
    "export",
    "fetch",
    "gc",
    "report",
    "retry",
    "status",
    "tell_collected",
    "tell_exported",
    "tell_fetched",
    "tell_reported",
    "tell_retried",
    "tell_status",
]


# MERGED FROM ray_jobs.cli.runs: Runs that are looked at, handed on, mended and tidied.
# MERGED FROM ray_jobs.cli.runs: What `amia status` says of a run to people; machines get the tree that it is made from.
def status(run: Annotated[str, typer.Argument(help="The run.")], json: Json = False) -> None:
    """What is published, in work, failed and left, and how fast it goes; also while a job runs elsewhere."""
    from ray_jobs.jobs.status import status as look

    tell_status(look(run), json=json)


def report(
    run: Annotated[str, typer.Argument(help="The run.")],
    arm: Annotated[
        str | None, typer.Option("--arm", help="The finished arm to show. Default: adaptive, or the one there is.")
    ] = None,
    json: Json = False,
) -> None:
    """A page to look at: what came out, how theta came about, images, failures, curves. Made anew each time."""
    from ray_jobs.jobs.report import report as job

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

    settings = load_settings(config, words or [])
    done = job(run, settings, layout=layout, to=to, arms=arm or ["adaptive"], size=size, name=name, quiet=json)
    tell_exported(done, run, to, json=json)


def fetch(words: Words = None, model: Systems = None, config: Config = "default", json: Json = False) -> None:
    """Fetch every model of a config into this machine's cache (HF_HOME), for workers that have no internet."""
    from ray_jobs.jobs.download import download_models as job

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

    found = collect(run, older_than_s=seconds_of(older_than), dry_run=dry_run)
    tell_collected(found, run, dry_run=dry_run, json=json)


def tell_exported(done: "ExportSummary", run: str, to: str, *, json: bool) -> None:
    """Posts by arm, and what was left out or changed on the way."""
    if json:
        print_json({"run": run, "to": to, **done.to_json()})
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


def tell_reported(done: "ReportResult", *, json: bool) -> None:
    """Where the page stands, and what is on it."""
    if json:
        print_json(asdict(done))
        return
    console.print(f"arm {done.arm}, {done.posts:,} posts: {', '.join(done.sections)} ({done.bytes / 1e6:,.2f} MB)")
    console.print(f"-> {done.run}/{done.key}")


def tell_retried(done: "RetryResult", run: str, to: str, *, json: bool) -> None:
    """What was mended, what was taken over, and how it goes on."""
    if json:
        print_json({"run": to, "of": run, **asdict(done)})
        return
    print_lines([f"{run} -> {to}: {done.posts:,} posts in, {done.posts:,} out"])
    if done.images and done.image_root is None:
        print_lines(["  no folder of images is on this machine: broken ones stay as they are (--images DIR names one)"])
    for status, (before, after) in done.images.items():
        print_lines([f"  {before:>9,} {describe_status(status)}: {before - after:,} could be read now"])
    if done.redrawn:
        print_lines([f"  {done.redrawn:>9,} whose synthesis failed: drawn again by the command below"])
    if done.refused:
        print_lines([f"  {done.refused:>9,} whose image the model's safety check refused: they stay so"])
    rows = [["stage", "taken over", "to be made"]]
    rows += [[name, f"{shards:,}", f"{done.of_shards - shards:,}"] for name, shards in done.stages.items()]
    print_lines(format_table(rows))
    if "scores" in done.stages:
        print_lines([f"Mixture and bank are those of {run}, so theta means the same."])
    print_lines([f"Models, predictions and tables stay in {run}. Go on with the settings that made it:"])
    print_lines([f"  {' '.join(done.command)}"])


def tell_collected(found: "Sequence[Orphan]", run: str, *, dry_run: bool, json: bool) -> None:
    """The orphans by kind; of a dry run each of them."""
    if json:
        print_json({"run": run, "dry_run": dry_run, "orphans": [asdict(each) for each in found]})
        return
    if dry_run:
        print_lines([f"{each.key}: {each.what}, {each.bytes:,} bytes in {_files(each.files)}" for each in found])
    files, size = Counter[str](), Counter[str]()
    for each in found:
        files[each.what] += each.files
        size[each.what] += each.bytes
    would = "would be removed" if dry_run else "removed"
    rows = [[what, _files(files[what]), f"{size[what] / 1e6:,.1f} MB"] for what in sorted(files)]
    print_lines(format_table(rows) if rows else [])
    print_lines(
        [f"{run}: {_files(files.total())}, {size.total() / 1e6:,.1f} MB {would}; nothing published was touched"]
    )


def _files(count: int) -> str:
    return f"{count:,} file" if count == 1 else f"{count:,} files"


def tell_fetched(done: Sequence["DownloadResult"], *, json: bool) -> None:
    """Each model's role, what it is, and where its files lie."""
    if json:
        print_json({each.role: {"identity": each.identity, "folder": str(each.folder)} for each in done})
        return
    for each in done:
        console.print(f"{each.role}: {each.identity} -> {each.folder}")


HEAD = ["stage", "shards", "posts", "in work", "failed", "left", "posts/s", "time left", "MB", ""]


def tell_status(about: Mapping[str, Any], *, json: bool) -> None:
    """A run at a glance."""
    if json:
        print_json(about)
        return
    print_lines([*_head(about), *_drivers(about)])
    if about["stages"]:
        print_lines(
            format_table([HEAD, *(_row(name, stage, about["finished"]) for name, stage in about["stages"].items())])
        )
        print_lines(list(_rest(about)))


def _head(about: Mapping[str, Any]) -> Iterator[str]:
    if "beginning" not in about:
        splits = ", ".join(f"{count:,} {split}" for split, count in sorted(about["splits"].items()))
        yield f"{about['run']}: {about['posts']:,} posts ({splits}), {about['rejected']:,} rows rejected"
        return
    yield f"{about['run']}: nothing is published here"
    beginning = about["beginning"]
    if beginning["retry"]:
        yield "an `amia retry` has begun to take another run's shards over"
    elif beginning["scratch_bytes"]:
        when = _ago(time.time() - beginning["last_written"])
        yield f"an ingest reads its corpus: {beginning['scratch_bytes'] / 1e6:,.1f} MB so far, the last {when} ago"


def _drivers(about: Mapping[str, Any]) -> Iterator[str]:
    for each in about["drivers"]:
        who, when = f"{each['host']} (process {each['pid']})", _ago(each["heard_s_ago"])
        if each["alive"]:
            yield f"a job runs on {who}, heard of {when} ago"
        else:
            yield f"the job on {who} has not been heard of for {when}: if it was killed, its command goes on from here"


def _row(name: str, stage: Mapping[str, Any], finished: list[str]) -> list[str]:
    rate, left = stage["posts_per_s"], stage["eta_s"]
    note = "finished" if name.partition("/")[2] in finished and name.startswith("augmented/") else ""
    if stage["left"] and stage["last_published"] is not None:
        note = f"last shard {_ago(time.time() - stage['last_published'])} ago"
    return [
        name,
        f"{stage['shards']:,} of {stage['of_shards']:,}",
        *(f"{stage[part]:,}" for part in ("posts", "working", "failed", "left")),
        "" if rate is None else f"{rate:,.1f}",
        "" if left is None else format_duration(left),
        f"{stage['bytes'] / 1e6:,.1f}",
        note,
    ]


def _rest(about: Mapping[str, Any]) -> Iterator[str]:
    if not about["mixture"] and "scores" in about["stages"]:
        yield "no mixture yet: theta is fitted once every score is there"
    done = [each for each in about["trainings"] if each["finished"]]
    begun = [each for each in about["trainings"] if each["epochs"] and not each["finished"]]
    if about["trainings"]:
        waiting = len(about["trainings"]) - len(done) - len(begun)
        yield f"models: {len(done):,} trained, {len(begun):,} begun, {waiting:,} before their first epoch"
    for each in begun:
        speed = f", {format_duration(each['epoch_s'])} each" if each["epoch_s"] else ""
        when = f", the last {_ago(time.time() - each['told'])} ago" if each["told"] else ""
        yield f"  {each['name']}: epoch {each['epochs']} of {each['of_epochs']} at most{speed}{when}"
    if about["cells"]:
        tables = ", ".join(about["experiments"]) or "none yet"
        yield f"experiments: {about['cells']:,} results in cells/; tables: {tables}"


def _ago(seconds: float) -> str:
    """`12 s`, `5 min`, `3 h`, `2 d`: of clocks that may differ by a little, never less than nothing."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
