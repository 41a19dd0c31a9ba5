"""Timing of the stages from the log of the run: `log/*.jsonl`, one line per finished shard.

The files of one execution differ in the number at the end of their names.
"""

import json
from collections.abc import Sequence
from typing import Any

from amia.errors import RunError
from amia.report.view_models import StageTimes
from ray_jobs.storage.layout import (
    AUGMENTED,
    EMBEDDINGS,
    LOG,
    POSTS,
    PREDICTIONS,
    SCORES,
    SYNTHESIZED,
    SYNTHESIZED_SCORES,
)
from ray_jobs.storage.store import Store

__all__ = ["read_stage_times"]

STAGE_ORDER = (POSTS, EMBEDDINGS, SCORES, SYNTHESIZED, SYNTHESIZED_SCORES, AUGMENTED, PREDICTIONS)
LogLine = dict[str, Any]


def read_stage_times(store: Store) -> list[StageTimes]:
    """Return the timing of each stage in the order of a run. Raises RunError for a line not written by amia."""
    executions: dict[str, dict[str, list[LogLine]]] = {}
    for key in sorted(store.list(LOG)):
        if not key.endswith(".jsonl"):
            continue
        try:
            lines = [json.loads(line) for line in store.read(key).decode().splitlines()]
            for line in lines:
                _wall_seconds([line])  # raises if a value is not a number
                execution = key.rpartition("-")[0]
                executions.setdefault(line["stage"], {}).setdefault(execution, []).append(line)
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{key} in {store.address} was not written by amia: {error!r}") from error
    known = [stage for stage in STAGE_ORDER if stage in executions]
    others = sorted(executions.keys() - set(STAGE_ORDER))
    return [_sum_times(stage, list(executions[stage].values())) for stage in [*known, *others]]


def _sum_times(stage: str, executions: Sequence[Sequence[LogLine]]) -> StageTimes:
    lines = [line for execution in executions for line in execution]
    return StageTimes(
        stage=stage,
        posts=sum(line["posts"] for line in lines),
        shards=len({line["shard"] for line in lines}),
        load_s=sum(line["load_s"] for line in lines),
        run_s=sum(line["run_s"] for line in lines),
        publish_s=sum(line["publish_s"] for line in lines),
        wall_s=sum(map(_wall_seconds, executions)),
        actors=len({(line["host"], line["pid"]) for line in lines}),
        hosts=len({line["host"] for line in lines}),
        gpus=len({(line["host"], gpu) for line in lines for gpu in line["cuda_visible_devices"].split(",") if gpu}),
    )


def _wall_seconds(lines: Sequence[LogLine]) -> float:
    """Return the seconds from the start of the first shard to the end of the last one."""
    start = min(line["ended"] - line["publish_s"] - line["run_s"] - line["load_s"] for line in lines)
    return float(max(line["ended"] for line in lines) - start)
