"""What `amia status` says of a run to people; machines get the tree that it is made from."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from ray_jobs.runtime.pace import clock
from ray_jobs.telling.lines import aligned, say, say_json

__all__ = ["tell_status"]

HEAD = ["stage", "shards", "posts", "in work", "failed", "left", "posts/s", "time left", "MB", ""]


def tell_status(about: Mapping[str, Any], *, json: bool) -> None:
    """A run at a glance."""
    if json:
        say_json(about)
        return
    say([*_head(about), *_drivers(about)])
    if about["stages"]:
        say(aligned([HEAD, *(_row(name, stage, about["finished"]) for name, stage in about["stages"].items())]))
        say(list(_rest(about)))


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
        "" if left is None else clock(left),
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
        speed = f", {clock(each['epoch_s'])} each" if each["epoch_s"] else ""
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
