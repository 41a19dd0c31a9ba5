"""`amia ingest` or `amia augment` with its milestones, each in seconds since the command was given.

    python -m tests.benchmarks.timeline BEGUN ingest RUN SOURCE | augment RUN

BEGUN is the clock (seconds of the epoch) when the parent gave the command, so the interpreter's own start counts. Says
one JSON object: milestones in order, then `executions` (how many) and the seconds that they took together, and those of
ingest's first pass.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

BEGUN = float(sys.argv[1])
sums: dict[str, float] = {}
marks: dict[str, float] = {"given": BEGUN, "interpreter": time.time() - BEGUN}


def mark(name: str) -> None:
    marks.setdefault(name, time.time() - BEGUN)


def marked(function: Callable[..., Any], before: str, after: str | None = None) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        mark(before)
        done = function(*args, **named)
        if after is not None:
            mark(after)
        return done

    return call


def summed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        begun = time.time()
        done = function(*args, **named)
        sums[name] = sums.get(name, 0.0) + time.time() - begun
        return done

    return call


def counted(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        sums["executions"] = sums.get("executions", 0.0) + 1
        return function(*args, **named)

    return call


def main() -> None:
    from ray_jobs import augment, ingest, job
    from ray_jobs.running import progress
    from ray_jobs.settings import load_settings

    mark("imports")
    starting = {"before": "run and plan checked", "after": "Ray started"}
    job.connect = marked(job.connect, **starting)
    ingest.connect = marked(ingest.connect, **starting)
    job.run_steps = summed(job.run_steps, "executions_s")
    ingest.run_steps = summed(ingest.run_steps, "executions_s")
    ingest._arrange = summed(ingest._arrange, "order_s")
    progress.Board.start = counted(progress.Board.start)  # once an execution that has work
    progress.Board.start = marked(progress.Board.start, "first stage asked for")
    verb, run, *source = sys.argv[2:]
    settings = load_settings("demo")
    if verb == "ingest":
        ingest.ingest(source[0], run, settings, quiet=True)
    else:
        augment.augment(run, settings, quiet=True)
    mark("done")
    print(json.dumps(marks | sums))


if __name__ == "__main__":
    main()
