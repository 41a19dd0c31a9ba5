"""The actors of `run_stages` in this process: models are imported once, not by each actor.

Leases, pipeline, tracker, log and errors are those of a job. Only Ray Data is replaced: the stages do not overlap and
do not run in processes of their own.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from ray import cloudpickle

from ray_jobs.runtime import executor
from ray_jobs.runtime.executor import Execution, leases
from ray_jobs.runtime.stage_actor import StageActor
from ray_jobs.settings.job import Pool


class LocalDataset:
    """Stands in for the data set of an execution."""

    def __init__(self, execution: Execution, pools: dict[str, Pool], wait_s: float, stall_s: float) -> None:
        self._specs, self._tracker, self._stall_s = execution.specs, execution.tracker, stall_s
        self._leases = leases(execution.shards, pools[execution.specs[0].stage.pool].lease, actors=1)

    def iter_rows(self) -> Iterator[dict[str, str]]:
        """Yield each lease after it went through all stages."""
        # As on the way to an actor, so that a stage that cannot be sent there is noticed.
        stages = [cloudpickle.loads(cloudpickle.dumps(spec.stage)) for spec in self._specs]
        actors = [StageActor(stage, self._tracker, self._stall_s) for stage in stages]
        for lease in self._leases:
            batch = {"lease": np.array([json.dumps(lease)]), "failure": np.array([""]), "footers": np.array([""])}
            for actor in actors:
                batch = actor(batch)
            yield {name: str(column[0]) for name, column in batch.items()}


@contextmanager
def local_actors() -> Iterator[None]:
    """Run all stages in this process while the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor, "_dataset", LocalDataset)
        yield
