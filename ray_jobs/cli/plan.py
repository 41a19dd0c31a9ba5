"""`amia plan`: estimate duration and cost of a job before it runs."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from amia.errors import SettingsError
from ray_jobs.cli.console import console, format_table, print_json, print_lines
from ray_jobs.cli.options import Config, Json, Overrides
from ray_jobs.runtime.throughput import format_duration
from ray_jobs.settings.job import load_settings
from ray_jobs.settings.rates import Rates

if TYPE_CHECKING:  # keep the cost model out of the start-up of the command line
    from ray_jobs.jobs.forecast import ExecutionForecast, Forecast

__all__ = ["plan", "print_forecast"]

MULTIPLIERS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}


def plan(
    posts: Annotated[str, typer.Option("--posts", metavar="N", help="Posts of the corpus: 250000, 250k, 100M.")],
    gpu: Annotated[
        str,
        typer.Option(
            "--gpu",
            "--rates",
            metavar="NAME|FILE",
            help="a100, h100 or rtx4090; or a rates.json that `make bench` wrote, on a machine with or without a GPU.",
        ),
    ],
    overrides: Overrides = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Number of GPUs.")] = 1,
    cores: Annotated[
        int | None,
        typer.Option(
            "--cores",
            min=1,
            help="CPU cores in total. Default: the usual number for these GPUs; without GPUs, those of this machine.",
        ),
    ] = None,
    arm: Annotated[list[str] | None, typer.Option("--arm", help="As for `amia augment`. Default: adaptive.")] = None,
    price: Annotated[
        float | None, typer.Option("--price", min=0, help="Price of one GPU-hour; without GPUs, of one core-hour.")
    ] = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """Estimate duration, limits and cost of ingest and augment. The machines need not exist yet."""
    from ray_jobs.jobs.forecast import Machines, forecast, suggest_speedups
    from ray_jobs.settings.rates import load_rates

    rates, settings, arms = load_rates(gpu), load_settings(config, overrides or []), arm or ["adaptive"]
    gpus = count if rates.gpu else 0
    machines = Machines(gpus, cores or gpus * (rates.cores_per_gpu or 0) or len(os.sched_getaffinity(0)))
    estimate = forecast(_parse_count(posts), rates, machines, settings, arms)
    speedups = suggest_speedups(estimate, rates, settings, arms)
    print_forecast(estimate, rates.at(settings.image.size), speedups, price, json=json)


def _parse_count(text: str) -> int:
    match = re.fullmatch(r"([0-9][0-9_,]*(?:\.[0-9]+)?)([kmb]?)", text.strip().lower())
    if match is None:
        raise SettingsError(f"--posts {text}: write a number of posts as 250000, 250k or 100M")
    return round(float(match[1].replace(",", "").replace("_", "")) * MULTIPLIERS[match[2]])


def print_forecast(
    estimate: "Forecast", rates: Rates, speedups: Sequence[tuple[str, float]], price: float | None, *, json: bool
) -> None:
    """Print the executions in order, the totals, the limits, possible speedups, and the sources of the rates."""
    cost = None
    if price is not None:
        cost = price * (estimate.gpu_hours or estimate.machines.cores * estimate.seconds / 3600)
    if json:
        print_json(_forecast_json(estimate, rates, speedups, cost))
        return
    machines = estimate.machines
    gpus = f"{machines.gpus:,} x {rates.gpu}, " if machines.gpus else ""
    console.print(f"{estimate.posts:,} posts, each with an image, on {gpus}{machines.cores:,} CPU cores")
    print_lines(_duration_table(estimate))
    if machines.gpus:
        waiting = machines.gpus * estimate.ingest_s / 3600
        console.print(
            f"{estimate.gpu_hours:,.1f} GPU-hours, of which the GPUs are busy {estimate.gpu_s / 3600:,.1f}. "
            f"Ingest needs no GPU: running it before the GPUs are allocated saves {waiting:,.1f}"
        )
    console.print(f"Busy core-hours: {estimate.cpu_s / 3600:,.1f}")
    written = ", ".join(f"{name} {_format_bytes(size)}" for name, size in estimate.bytes.items())
    console.print(f"Written: {_format_bytes(sum(estimate.bytes.values()))} ({written})")
    kept = estimate.bytes_kept
    console.print(
        f"Kept: {_format_bytes(kept['always'])}; with synthesized.keep=until_mixed {_format_bytes(kept['until_mixed'])}"
    )
    if cost is not None:
        console.print(f"Cost: {cost:,.2f}, {1e6 * cost / estimate.posts:,.2f} per million posts")
    console.print(f"Most of the time is limited by {estimate.limit}.")
    print_lines(f"  {change}: {format_duration(seconds)} in total" for change, seconds in speedups)
    if not speedups:
        console.print("  Doubling any single resource does not help.")
    print_lines(_rates_table(rates))
    console.print("Sources of the rates:")
    print_lines(f"  {', '.join(names)}: {source}" for source, names in _names_by_source(rates).items())


def _duration_table(estimate: "Forecast") -> list[str]:
    rows = [["execution", "duration", "limited by"]]
    rows += [
        [" + ".join(execution.stages), format_duration(execution.seconds), execution.limit]
        for execution in estimate.executions
    ]
    rows.append(["starting the commands", format_duration(estimate.between_s), ""])
    rows.append(["total", format_duration(estimate.seconds), ""])
    return [line.rstrip() for line in format_table(rows)]


def _rates_table(rates: Rates) -> list[str]:
    rows = [["Rates, seconds per post", "of a core", "of a GPU"]]
    for name, rate in rates.stages.items():
        rows.append([f"  {name}", f"{rate.cpu_s:.2g}", f"{rate.gpu_s:.2g}" if rate.gpu_s else "-"])
    return format_table(rows)


def _names_by_source(rates: Rates) -> Mapping[str, list[str]]:
    names: dict[str, list[str]] = {}
    for name, rate in rates.stages.items():
        names.setdefault(rate.source, []).append(name)
    names.setdefault(rates.source, []).append("all others")
    return names


def _forecast_json(
    estimate: "Forecast", rates: Rates, speedups: Sequence[tuple[str, float]], cost: float | None
) -> dict[str, object]:
    return {
        "posts": estimate.posts,
        "gpus": estimate.machines.gpus,
        "cores": estimate.machines.cores,
        "seconds": estimate.seconds,
        "executions": [_execution_json(execution) for execution in estimate.executions],
        "between_s": estimate.between_s,
        "gpu_hours": estimate.gpu_hours,
        "gpu_hours_at_work": estimate.gpu_s / 3600,
        "core_hours_at_work": estimate.cpu_s / 3600,
        "bytes": estimate.bytes,
        "bytes_kept": estimate.bytes_kept,
        "cost": cost,
        "limit": estimate.limit,
        "would_help": dict(speedups),
        "rates": rates.model_dump(),
    }


def _execution_json(execution: "ExecutionForecast") -> dict[str, object]:
    return {
        "stages": execution.stages,
        "posts": execution.posts,
        "seconds": execution.seconds,
        "begin_s": execution.begin_s,
        "tail_s": execution.tail_s,
        "bounds": execution.bounds,
        "limit": execution.limit,
    }


def _format_bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} PB"
