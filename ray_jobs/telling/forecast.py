"""What `amia plan` says."""

from collections.abc import Sequence

from ray_jobs.jobs.forecast import Execution, Forecast
from ray_jobs.settings.rates import Rates
from ray_jobs.runtime.pace import clock
from ray_jobs.telling.lines import aligned, say, say_json

__all__ = ["tell_forecast"]


def tell_forecast(
    made: Forecast, rates: Rates, helps: Sequence[tuple[str, float]], price: float | None, *, json: bool
) -> None:
    """The executions in order, the sums, what limits the job and what would help, and where the rates come from."""
    cost = None if price is None else price * (made.gpu_hours or made.power.cores * made.seconds / 3600)
    if json:
        say_json(_as_json(made, rates, helps, cost))
        return
    machine = f"{made.power.gpus:,} x {rates.gpu}, " if made.power.gpus else ""
    say([f"{made.posts:,} posts, each with an image, on {machine}{made.power.cores:,} CPU cores"])
    rows = [["one after the other", "takes", "limited by"]]
    rows += [[" + ".join(each.stages), clock(each.seconds), each.limit] for each in made.executions]
    rows.append(["commands, ingest's first pass", clock(made.between_s), "one process"])
    rows.append(["together", clock(made.seconds), ""])
    say([line.rstrip() for line in aligned(rows)])
    if made.power.gpus:
        paid = f"{made.gpu_hours:,.1f} GPU-hours, of which the GPUs work {made.gpu_s / 3600:,.1f}"
        waiting = made.power.gpus * made.ingest_s / 3600
        say([f"{paid}. Ingest needs none: {waiting:,.1f} are saved where it runs before the GPUs are there"])
    say([f"Core-hours at work: {made.cpu_s / 3600:,.1f}"])
    written = ", ".join(f"{name} {_bytes(size)}" for name, size in made.bytes.items())
    say([f"Written: {_bytes(sum(made.bytes.values()))} ({written})"])
    if cost is not None:
        say([f"Cost: {cost:,.2f}, {1e6 * cost / made.posts:,.2f} a million posts"])
    say([f"Most of the time it is limited by {made.limit}."])
    say(
        [f"  {what}: {clock(seconds)} in all" for what, seconds in helps] or ["  Nothing that doubles one thing helps."]
    )
    rows = [["Rates, seconds a post", "of a core", "of a GPU"]]
    for name, rate in rates.stages.items():
        rows.append([f"  {name}", f"{rate.cpu_s:.2g}", f"{rate.gpu_s:.2g}" if rate.gpu_s else "-"])
    say(aligned(rows))
    say(["Where they come from:"])
    named: dict[str, list[str]] = {}
    for name, source in [*((name, rate.source) for name, rate in rates.stages.items()), ("the rest", rates.source)]:
        named.setdefault(source, []).append(name)
    say([f"  {', '.join(names)}: {source}" for source, names in named.items()])


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
