"""`amia ingest` or `amia augment` with its milestones, each in seconds since the command was given.

    python -m tests.benchmarks.timeline BEGUN ingest RUN SOURCE | augment RUN

BEGUN is the clock (seconds of the epoch) when the parent gave the command, so the interpreter's own start counts. Says
one JSON object: `milestones` in order; `executions`, from when to when each went that had work; `order_s`, the seconds
of ingest's first pass.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

BEGUN = float(sys.argv[1])
marks: dict[str, float] = {}
executions: list[tuple[float, float]] = []
asked: list[float] = []
"""When a board was started: once an execution that has work."""


def since() -> float:
    return time.time() - BEGUN


def mark(name: str) -> None:
    marks.setdefault(name, since())


def marked(function: Callable[..., Any], before: str, after: str | None = None) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        mark(before)
        done = function(*args, **named)
        if after is not None:
            mark(after)
        return done

    return call


def executed(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        begun, before = since(), len(asked)
        done = function(*args, **named)
        if len(asked) > before:
            executions.append((begun, since()))
        return done

    return call


def noted(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        asked.append(since())
        return function(*args, **named)

    return call


def main() -> None:
    mark("interpreter")
    from ray_jobs.jobs import augment, ingest
    from ray_jobs.jobs import context as job
    from ray_jobs.runtime import progress
    from ray_jobs.settings.job import load_settings

    mark("imports")
    starting = {"before": "run and plan checked", "after": "Ray started"}
    job.connect = marked(job.connect, **starting)
    ingest.connect = marked(ingest.connect, **starting)
    job.run_steps, ingest.run_steps = executed(job.run_steps), executed(ingest.run_steps)
    ingest._arrange = marked(ingest._arrange, before="order asked for", after="posts in order")
    progress.ProgressTracker.start = noted(marked(progress.ProgressTracker.start, "first stage asked for"))
    verb, run, *source = sys.argv[2:]
    settings = load_settings("demo")
    if verb == "ingest":
        ingest.ingest(source[0], run, settings, quiet=True)
    else:
        augment.augment(run, settings, quiet=True)
    mark("done")
    ordering = marks.pop("posts in order", 0.0) - marks.pop("order asked for", 0.0)
    print(json.dumps({"given": BEGUN, "milestones": marks, "executions": executions, "order_s": ordering}))


if __name__ == "__main__":
    main()
