"""`amia status`: the state of a run at a glance."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from ray_jobs.cli.console import console, format_table, print_json, print_lines
from ray_jobs.cli.options import Json, RunArgument, WithEarlier
from ray_jobs.runtime.throughput import format_duration

__all__ = ["print_status", "status"]

COLUMNS = ["stage", "shards", "posts", "in work", "failed", "left", "posts/s", "time left", "MB", ""]
WATCH_S = 10.0
"""Seconds between two readings of `--watch`: the interval of the heartbeats."""


def status(
    run: RunArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every 10 seconds, until Ctrl-C.")] = False,
    with_earlier: WithEarlier = False,
    json: Json = False,
) -> None:
    """Show progress, failures and throughput of a run. Works from any machine while a job runs elsewhere."""
    from ray_jobs.jobs.status import status as status_job

    counted: dict[str, Mapping[str, int]] = {}
    print_status(status_job(run, counted, with_earlier=with_earlier), json=json)
    while watch:
        time.sleep(WATCH_S)
        report = status_job(run, counted, with_earlier=with_earlier)
        if not json:
            console.clear()  # on a terminal only
        print_status(report, json=json)


def print_status(report: Mapping[str, Any], *, json: bool) -> None:
    """Print the tree of `ray_jobs.jobs.status.status`: as a table for people, unchanged for machines."""
    if json:
        print_json(report)
        return
    print_lines([*_summary(report), *_drivers(report["drivers"])])
    if report["stages"]:
        rows = [_stage_row(name, stage, report["finished"]) for name, stage in report["stages"].items()]
        print_lines(format_table([COLUMNS, *rows]))
        print_lines(
            [
                *_retries(report["retries"]),
                *_missing_mixture(report),
                *_trainings(report["trainings"]),
                *_experiments(report),
            ]
        )


def _summary(report: Mapping[str, Any]) -> Iterator[str]:
    if "beginning" not in report:
        splits = ", ".join(f"{count:,} {split}" for split, count in sorted(report["splits"].items()))
        removed = f", {report['removed']:,} posts removed" if report["removed"] else ""
        yield f"{report['run']}: {report['posts']:,} posts ({splits}), {report['rejected']:,} rows rejected{removed}"
        if report["removing"]:
            yield "posts are being removed; if `amia remove` was killed, run it again with the same ids to complete it"
        return
    yield f"{report['run']}: nothing is published here"
    beginning = report["beginning"]
    if beginning["retry"]:
        yield "an `amia retry` into this folder has started and is not finished"
    elif beginning["scratch_bytes"]:
        age = _format_age(time.time() - beginning["last_written"])
        yield f"an ingest is reading its corpus: {beginning['scratch_bytes'] / 1e6:,.1f} MB, last write {age} ago"


def _drivers(drivers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for driver in drivers:
        name, age = f"{driver['host']} (process {driver['pid']})", _format_age(driver["heard_s_ago"])
        if driver["alive"]:
            yield f"a job is running on {name}, last heartbeat {age} ago"
        else:
            yield f"no heartbeat from the job on {name} for {age}: if it was killed, run its command again to resume"


def _stage_row(name: str, stage: Mapping[str, Any], finished_arms: Sequence[str]) -> list[str]:
    rate, seconds_left = stage["posts_per_s"], stage["eta_s"]
    note = "finished" if name.startswith("augmented/") and name.partition("/")[2] in finished_arms else ""
    if stage["removed"]:
        note = f"images of {stage['removed']:,} posts removed once all arms were mixed"
    if stage["left"] and stage["last_published"] is not None:
        note = f"last shard {_format_age(time.time() - stage['last_published'])} ago"
    return [
        name,
        f"{stage['shards']:,} of {stage['of_shards']:,}",
        *(f"{stage[part]:,}" for part in ("posts", "working", "failed", "left")),
        "" if rate is None else f"{rate:,.1f}",
        "" if seconds_left is None else format_duration(seconds_left),
        f"{stage['bytes'] / 1e6:,.1f}",
        note,
    ]


def _retries(retries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for retry in retries:
        yield f"retried: {retry['stage']}, {retry['count']:,} x {retry['cause']} (on {', '.join(retry['hosts'])})"


def _missing_mixture(report: Mapping[str, Any]) -> Iterator[str]:
    if not report["mixture"] and "scores" in report["stages"]:
        yield "no mixture yet: theta is fitted once all scores are published"


def _trainings(trainings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not trainings:
        return
    trained = [training for training in trainings if training["finished"]]
    running = [training for training in trainings if training["epochs"] and not training["finished"]]
    waiting = len(trainings) - len(trained) - len(running)
    yield f"models: {len(trained):,} trained, {len(running):,} in training, {waiting:,} before their first epoch"
    for training in running:
        speed = f", {format_duration(training['epoch_s'])} each" if training["epoch_s"] else ""
        last = f", the last {_format_age(time.time() - training['told'])} ago" if training["told"] else ""
        yield f"  {training['name']}: epoch {training['epochs']} of at most {training['of_epochs']}{speed}{last}"


def _experiments(report: Mapping[str, Any]) -> Iterator[str]:
    if report["cells"]:
        tables = ", ".join(report["experiments"]) or "none yet"
        yield f"experiments: {report['cells']:,} results in cells/; tables: {tables}"


def _format_age(seconds: float) -> str:
    """Return an age as `12 s`, `5 min`, `3 h` or `2 d`; never negative, since clocks of machines differ a little."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
