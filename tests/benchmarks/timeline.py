"""`amia ingest` or `amia augment` with its milestones, each in seconds since the command was started.

    python -m tests.benchmarks.timeline STARTED ingest RUN SOURCE | augment RUN

STARTED is the time (seconds since 1970) at which the parent started the command, so that the start of the interpreter
counts. Prints one JSON object: `milestones` in order; `executions`, start and end of each one that had work; `order_s`,
the seconds of ingest's first pass.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

STARTED = float(sys.argv[1])
milestones: dict[str, float] = {}
executions: list[tuple[float, float]] = []
tracker_starts: list[float] = []
"""Times at which a progress tracker was started: once per execution that has work."""


def elapsed() -> float:
    return time.time() - STARTED


def mark(name: str) -> None:
    milestones.setdefault(name, elapsed())


def with_milestones(function: Callable[..., Any], before: str, after: str | None = None) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        mark(before)
        result = function(*args, **kwargs)
        if after is not None:
            mark(after)
        return result

    return call


def with_execution_times(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        started, previous = elapsed(), len(tracker_starts)
        result = function(*args, **kwargs)
        if len(tracker_starts) > previous:
            executions.append((started, elapsed()))
        return result

    return call


def with_tracker_starts(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        tracker_starts.append(elapsed())
        return function(*args, **kwargs)

    return call


def main() -> None:
    mark("interpreter")
    from ray_jobs.jobs import augment, context, ingest
    from ray_jobs.runtime import progress
    from ray_jobs.settings.job import load_settings

    mark("imports")
    names = {"before": "run and plan checked", "after": "Ray started"}
    context.connect = with_milestones(context.connect, **names)
    ingest.connect = with_milestones(ingest.connect, **names)
    context.run_stages = with_execution_times(context.run_stages)
    ingest.run_stages = with_execution_times(ingest.run_stages)
    ingest._create_plan = with_milestones(ingest._create_plan, before="order requested", after="posts in order")
    progress.ProgressTracker.start = with_tracker_starts(
        with_milestones(progress.ProgressTracker.start, "first stage requested")
    )
    verb, run, *source = sys.argv[2:]
    settings = load_settings("demo")
    if verb == "ingest":
        ingest.ingest(source[0], run, settings, quiet=True)
    else:
        augment.augment(run, settings, quiet=True)
    mark("done")
    order_s = milestones.pop("posts in order", 0.0) - milestones.pop("order requested", 0.0)
    print(json.dumps({"given": STARTED, "milestones": milestones, "executions": executions, "order_s": order_s}))


if __name__ == "__main__":
    main()
