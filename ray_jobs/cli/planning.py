"""Before anything costs money."""

import os
import re
from collections.abc import Sequence
from typing import Annotated

import typer

from amia.errors import SettingsError
from ray_jobs.cli.options import Config, Json, Words
from ray_jobs.cli.output import format_table, print_json, print_lines
from ray_jobs.jobs.forecast import Execution, Forecast
from ray_jobs.runtime.throughput import format_duration
from ray_jobs.settings.job import load_settings
from ray_jobs.settings.rates import Rates

__all__ = ["plan", "tell_forecast"]

# MERGED FROM ray_jobs.cli.planning: What `amia plan` says.
SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}


def plan(
    posts: Annotated[str, typer.Option("--posts", metavar="N", help="Posts of the corpus: 250000, 250k, 100M.")],
    gpu: Annotated[
        str,
        typer.Option(
            "--gpu",
            "--rates",
            metavar="NAME|FILE",
            help="a100, h100 or rtx4090; or the rates.json that `make bench` wrote on such a machine, GPU or none.",
        ),
    ],
    words: Words = None,
    count: Annotated[int, typer.Option("--count", min=1, help="GPUs.")] = 1,
    cores: Annotated[
        int | None,
        typer.Option(
            "--cores", min=1, help="CPU cores in all. Default: what such GPUs come with; without any, this machine's."
        ),
    ] = None,
    arm: Annotated[list[str] | None, typer.Option("--arm", help="As for `amia augment`. Default: adaptive.")] = None,
    price: Annotated[
        float | None, typer.Option("--price", min=0, help="Of one GPU for an hour; without GPUs, of one core.")
    ] = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """How long ingest and augment would take on machines that need not be there, what limits them, what it costs."""
    from ray_jobs.jobs.forecast import Power, forecast, suggest_speedups
    from ray_jobs.settings.rates import load_rates

    rates, settings, arms = load_rates(gpu), load_settings(config, words or []), arm or ["adaptive"]
    gpus = count if rates.gpu else 0
    have = cores or gpus * (rates.cores_per_gpu or 0) or len(os.sched_getaffinity(0))
    made = forecast(_number(posts), rates, Power(gpus, have), settings, arms)
    helps = suggest_speedups(made, rates, settings, arms)
    tell_forecast(made, rates.at(settings.image.size), helps, price, json=json)


def _number(said: str) -> int:
    found = re.fullmatch(r"([0-9][0-9_,]*(?:\.[0-9]+)?)([kmb]?)", said.strip().lower())
    if found is None:
        raise SettingsError(f"--posts {said}: a number of posts is written 250000, 250k or 100M")
    return round(float(found[1].replace(",", "").replace("_", "")) * SUFFIXES[found[2]])


def tell_forecast(
    made: Forecast, rates: Rates, helps: Sequence[tuple[str, float]], price: float | None, *, json: bool
) -> None:
    """The executions in order, the sums, what limits the job and what would help, and where the rates come from."""
    cost = None if price is None else price * (made.gpu_hours or made.power.cores * made.seconds / 3600)
    if json:
        print_json(_as_json(made, rates, helps, cost))
        return
    machine = f"{made.power.gpus:,} x {rates.gpu}, " if made.power.gpus else ""
    print_lines([f"{made.posts:,} posts, each with an image, on {machine}{made.power.cores:,} CPU cores"])
    rows = [["one after the other", "takes", "limited by"]]
    rows += [[" + ".join(each.stages), format_duration(each.seconds), each.limit] for each in made.executions]
    rows.append(["commands, ingest's first pass", format_duration(made.between_s), "one process"])
    rows.append(["together", format_duration(made.seconds), ""])
    print_lines([line.rstrip() for line in format_table(rows)])
    if made.power.gpus:
        paid = f"{made.gpu_hours:,.1f} GPU-hours, of which the GPUs work {made.gpu_s / 3600:,.1f}"
        waiting = made.power.gpus * made.ingest_s / 3600
        print_lines([f"{paid}. Ingest needs none: {waiting:,.1f} are saved where it runs before the GPUs are there"])
    print_lines([f"Core-hours at work: {made.cpu_s / 3600:,.1f}"])
    written = ", ".join(f"{name} {_bytes(size)}" for name, size in made.bytes.items())
    print_lines([f"Written: {_bytes(sum(made.bytes.values()))} ({written})"])
    if cost is not None:
        print_lines([f"Cost: {cost:,.2f}, {1e6 * cost / made.posts:,.2f} a million posts"])
    print_lines([f"Most of the time it is limited by {made.limit}."])
    print_lines(
        [f"  {what}: {format_duration(seconds)} in all" for what, seconds in helps]
        or ["  Nothing that doubles one thing helps."]
    )
    rows = [["Rates, seconds a post", "of a core", "of a GPU"]]
    for name, rate in rates.stages.items():
        rows.append([f"  {name}", f"{rate.cpu_s:.2g}", f"{rate.gpu_s:.2g}" if rate.gpu_s else "-"])
    print_lines(format_table(rows))
    print_lines(["Where they come from:"])
    named: dict[str, list[str]] = {}
    for name, source in [*((name, rate.source) for name, rate in rates.stages.items()), ("the rest", rates.source)]:
        named.setdefault(source, []).append(name)
    print_lines([f"  {', '.join(names)}: {source}" for source, names in named.items()])


def _as_json(made: Forecast, rates: Rates, helps: Sequence[tuple[str, float]], cost: float | None) -> dict[str, object]:
    return {
        "posts": made.posts,
        "gpus": made.power.gpus,
        "cores": made.power.cores,
        "seconds": made.seconds,
        "executions": [_execution(each) for each in made.executions],
        "between_s": made.between_s,
        "gpu_hours": made.gpu_hours,
        "gpu_hours_at_work": made.gpu_s / 3600,
        "core_hours_at_work": made.cpu_s / 3600,
        "bytes": made.bytes,
        "cost": cost,
        "limit": made.limit,
        "would_help": dict(helps),
        "rates": rates.model_dump(),
    }


def _execution(each: Execution) -> dict[str, object]:
    return {
        "stages": each.stages,
        "posts": each.posts,
        "seconds": each.seconds,
        "begin_s": each.begin_s,
        "tail_s": each.tail_s,
        "bounds": each.bounds,
        "limit": each.limit,
    }


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} PB"
