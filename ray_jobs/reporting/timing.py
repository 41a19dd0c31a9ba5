"""What the run's log can honestly say of speed: `log/*.jsonl`, a file an execution, a line a shard that was done."""

import json
from collections.abc import Sequence
from typing import Any

from amia.errors import RunError
from amia.report.view_models import StageTimes
from ray_jobs.storage.layout import LOG
from ray_jobs.storage.store import Store

__all__ = ["stage_times"]

ORDER = ("posts", "embeddings", "scores", "synthesized", "augmented", "predictions")
Line = dict[str, Any]


def stage_times(store: Store) -> list[StageTimes]:
    """One entry a stage, in the order that a run goes through them. Raises RunError when a line there is not ours."""
    executions: dict[str, list[list[Line]]] = {}
    for key in sorted(store.list(LOG)):
        if not key.endswith(".jsonl"):
            continue
        try:
            lines = [json.loads(line) for line in store.read(key).decode().splitlines()]
            for stage in dict.fromkeys(line["stage"] for line in lines):
                some = [line for line in lines if line["stage"] == stage]
                executions.setdefault(stage, []).append(some)
                _span(some)  # its numbers are numbers
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{key} in {store.address} was not written by amia: {error!r}") from error
    known = [stage for stage in ORDER if stage in executions]
    return [_times(stage, executions[stage]) for stage in [*known, *sorted(executions.keys() - set(ORDER))]]


def _times(stage: str, executions: Sequence[Sequence[Line]]) -> StageTimes:
    lines = [line for some in executions for line in some]
    return StageTimes(
        stage=stage,
        posts=sum(line["posts"] for line in lines),
        shards=len({line["shard"] for line in lines}),
        load_s=sum(line["load_s"] for line in lines),
        run_s=sum(line["run_s"] for line in lines),
        publish_s=sum(line["publish_s"] for line in lines),
        wall_s=sum(map(_span, executions)),
        actors=len({(line["host"], line["pid"]) for line in lines}),
        hosts=len({line["host"] for line in lines}),
        gpus=len({(line["host"], gpu) for line in lines for gpu in line["cuda_visible_devices"].split(",") if gpu}),
    )


def _span(lines: Sequence[Line]) -> float:
    """Seconds from the start of the first shard to the end of the last one."""
    started = min(line["ended"] - line["publish_s"] - line["run_s"] - line["load_s"] for line in lines)
    return float(max(line["ended"] for line in lines) - started)
