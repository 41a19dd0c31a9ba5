"""Spreads the unpublished shards of one or two stages over actors, by Ray Data.

A row of Ray Data is a lease: the names of a few consecutive shards. Actors fetch, work and publish through the store,
so pixels never pass through Ray's object store, and which shard an actor gets changes nothing in what it writes.
"""

import json
import os
import socket
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset

from amia import errors
from amia.errors import AmiaError, ClusterError, RunError, StageError, StoreError
from ray_jobs.runtime.cluster import Cluster, resources
from ray_jobs.runtime.gc_freeze import freeze_gc_after
from ray_jobs.runtime.heartbeat import Heartbeat, HeartbeatRecord
from ray_jobs.runtime.metrics import StageCounters
from ray_jobs.runtime.progress import ProgressDisplay, ProgressTracker
from ray_jobs.runtime.signals import drain_on_sigterm
from ray_jobs.settings.job import Pool
from ray_jobs.stages.base import Stage
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import ShardMetadata
from ray_jobs.storage.store import Store

__all__ = ["StageSpec", "leases", "run_locally", "run_stages", "unpublished"]

Batch = dict[str, np.ndarray]
AnyStage = Stage[Any, Any]

MAX_ATTEMPTS = 5
"""Processes that may die at one shard. Ray starts a lost actor again for ever, which is right where nodes come and go;
a shard that takes its actor down each time, by its memory above all, must end."""
MAX_IDS = 20
"""Posts of one shard that the log names for each way in which they failed."""


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A stage and the actors that run it."""

    stage: AnyStage
    pool: Pool


def unpublished(store: Store, stage: AnyStage, shards: Sequence[str]) -> list[str]:
    """The shards that a stage has yet to publish, by one listing of each folder it writes."""
    there = {key for folder in _folders(stage, shards) for key in store.list(folder)}
    return [shard for shard in shards if not there.issuperset(stage.keys(shard))]


def leases(shards: Sequence[str], longest: int, actors: int) -> list[list[str]]:
    """Runs of at most `longest` consecutive shards; shorter where every one of `actors` would not get two."""
    length = max(1, min(longest, len(shards) // (2 * actors)))
    return [list(shards[start : start + length]) for start in range(0, len(shards), length)]


def run_stages(
    store: Store,
    machines: Cluster,
    plan: Plan,
    steps: Sequence[StageSpec],
    shards: Sequence[str],
    *,
    wait_s: float,
    quiet: bool,
) -> None:
    """Run each shard through the steps, streaming from one step's actors to the next's; published shards are skipped.

    `store` keeps the log. Raises the AmiaError of the first actor that could not go on, StageError for anything that
    nobody foresaw, and ClusterError when the actors' machines do not come or a shard takes its actor down again and
    again.
    """
    # A step that has nothing left to do starts no actors.
    left = [(step, todo) for step in steps if (todo := set(unpublished(step.stage.store, step.stage, shards)))]
    if not left:
        return
    steps = [step for step, _ in left]
    waiting = [shard for shard in shards if any(shard in todo for _, todo in left)]
    pools = machines.fit_pools({step.stage.pool: step.pool for step in steps}, len(waiting))
    machines.wait_for_pools(pools, wait_s)
    board = ProgressTracker.start()
    first = pools[steps[0].stage.pool]
    rows = [{"lease": json.dumps(each), "failure": ""} for each in leases(waiting, first.lease, _actors(first))]
    _configure(wait_s)
    dataset: Dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
    for step in steps:
        pool = pools[step.stage.pool]
        dataset = dataset.map_batches(
            StageActor,
            fn_constructor_args=(step.stage, board),
            batch_size=1,
            batch_format="numpy",
            num_cpus=pool.cpus,
            num_gpus=pool.gpus,
            compute=ActorPoolStrategy(min_size=pool.min, max_size=pool.max, max_tasks_in_flight_per_actor=2),
        )
    totals = {step.stage.name: sum(plan.rows_of(shard) for shard in todo) for step, todo in left}
    started = time.time()
    try:
        with (
            ProgressDisplay(board, totals, quiet=quiet),
            Heartbeat(store, _log_name(started), lambda: _beat(board, started, steps, waiting)),
            drain_on_sigterm(lambda: ray.get(board.stop.remote())),
        ):
            for row in _rows(dataset, pools, wait_s):
                if row["failure"]:
                    _raise(store, started, json.loads(row["failure"]))
    finally:
        _keep_log(store, board, started)


def run_locally(stage: AnyStage, shards: Sequence[str]) -> None:
    """Run the unpublished ones of a few shards through a stage in this process, one after the other."""
    todo = unpublished(stage.store, stage, shards)
    if todo:
        stage.setup()
    for shard in todo:
        try:
            stage.publish(shard, stage.run(stage.load(shard)))
        except AmiaError as error:
            raise _with_context(type(error), f"{stage.name} {shard}: {error}") from error
        except Exception as error:  # whatever it is keeps its kind, and says where
            error.add_note(f"{stage.name} {shard}")
            raise


class StageActor:
    """Takes leases through a stage: while shard K runs, K+1 is loaded and K-1 published."""

    def __init__(self, stage: AnyStage, board: Any) -> None:
        self._stage, self._board, self._ready = stage, board, False
        self._counters = StageCounters(stage.name)
        self._told: list[ray.ObjectRef[None]] = []
        self._cpu_s = 0.0

    def __call__(self, batch: Batch) -> Batch:
        """One lease, by the names of its shards; an error that a person can act on travels on as a row."""
        if batch["failure"][0]:
            return batch
        try:
            if not self._ready:
                # Not in __init__: loading weights must not count as waiting for machines.
                with freeze_gc_after():
                    self._stage.setup()
                self._ready = True
            self._work(json.loads(batch["lease"][0]))
        except _ShardError as at:
            return self._failed(batch, at.error, at.shard)
        except Exception as error:  # noqa: BLE001  # raised in the driver, in few lines, with the traceback in the log
            return self._failed(batch, error, "")
        return batch

    def _failed(self, batch: Batch, error: Exception, shard: str) -> Batch:
        if isinstance(error, ray.exceptions.RayError):  # of the board, the only one that an actor asks
            error = ClusterError("the machine of the command was lost to the others: start the same command again")
        foreseen = isinstance(error, AmiaError)
        said = str(error) if foreseen else "".join(traceback.format_exception(error))
        kind = type(error).__name__ if foreseen else ""
        told = {"kind": kind, "said": said, "stage": self._stage.name, "shard": shard}
        return {"lease": batch["lease"], "failure": np.array([json.dumps(told)])}

    def _work(self, lease: Sequence[str]) -> None:
        with ThreadPoolExecutor(1, "load") as loader, ThreadPoolExecutor(1, "publish") as publisher:
            self._told.clear()
            self._cpu_s = time.process_time()
            ahead: list[Future[Any]] = [loader.submit(self._load, shard) for shard in lease[:1]]
            behind: Future[None] | None = None
            for position, shard in enumerate(lease):
                with _at(shard):
                    loaded, load_s = ahead.pop().result()
                ahead += [loader.submit(self._load, following) for following in lease[position + 1 : position + 2]]
                if loaded is None or ray.get(self._board.stopped.remote()):
                    continue
                start = time.monotonic()
                with _at(shard):
                    done = self._stage.run(loaded)
                run_s = time.monotonic() - start
                if behind is not None:
                    behind.result()
                behind = publisher.submit(self._publish, shard, done, {"load_s": load_s, "run_s": run_s})
            if behind is not None:
                behind.result()
        ray.get(self._told)  # before the driver hears of the lease, so that its log misses no line

    def _load(self, shard: str) -> tuple[Any, float]:
        start = time.monotonic()
        if self._is_published(shard) or ray.get(self._board.stopped.remote()):
            return None, 0.0  # published before, or by another driver since; or the job is to end
        attempts = ray.get(self._board.begin.remote(self._stage.name, shard))
        if attempts > MAX_ATTEMPTS:
            raise ClusterError(
                f"{MAX_ATTEMPTS} processes died at this shard, of too little memory most likely: take fewer actors on "
                "a node (raise pools.*.cpus), larger nodes, or smaller shards (per_shard of `amia ingest`)"
            )
        try:
            return self._stage.load(shard), time.monotonic() - start
        except Exception:  # which way a lost input shows is the stage's and the store's
            if self._is_published(shard):
                return None, 0.0  # another driver was first, and has tidied the input away
            raise

    def _is_published(self, shard: str) -> bool:
        return all(self._stage.store.exists(key) for key in self._stage.keys(shard))

    def _publish(self, shard: str, done: Any, seconds: dict[str, float]) -> None:
        start = time.monotonic()
        with _at(shard):
            facts = self._stage.publish(shard, done)
            failures = self._stage.failures(done)
        seconds = {**seconds, "publish_s": time.monotonic() - start}
        self._counters.count(facts.rows, failures, {part.removesuffix("_s"): value for part, value in seconds.items()})
        # Of the whole process since the shard before: the shards around this one, too, so that only sums mean anything.
        spent, self._cpu_s = self._cpu_s, time.process_time()
        seconds["cpu_s"] = self._cpu_s - spent
        line = {
            "stage": self._stage.name,
            "shard": shard,
            "posts": facts.rows,
            "failures": {status: {"posts": len(ids), "ids": ids[:MAX_IDS]} for status, ids in sorted(failures.items())},
            "ended": time.time(),
            **{name: round(value, 4) for name, value in seconds.items()},
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        }
        self._told.append(self._board.report.remote(self._stage.name, facts.rows, _failed(facts), line))


class _ShardError(Exception):  # not an error of its own: it carries one, and says where
    """An error on its way out of an actor's threads."""

    def __init__(self, shard: str, error: Exception) -> None:
        super().__init__(shard)
        self.shard, self.error = shard, error


@contextmanager
def _at(shard: str) -> Iterator[None]:
    try:
        yield
    except ray.exceptions.RayError:
        raise  # of the cluster, not of the shard
    except Exception as error:  # sorted by kind where it is told, not here
        raise _ShardError(shard, error) from error


def _failed(facts: ShardMetadata) -> int:
    return sum(count for status, count in facts.counts.items() if "(" in status)


def _actors(pool: Pool) -> int:
    """How many actors of a pool the cluster has room for now, at most its maximum."""
    there = resources()
    room = [there.get(kind, 0.0) / need for kind, need in (("CPU", pool.cpus), ("GPU", pool.gpus)) if need]
    return max(pool.min, min([pool.max, *(int(each + 1e-9) for each in room)]))


def _folders(stage: AnyStage, shards: Sequence[str]) -> set[str]:
    return {key.rpartition("/")[0] for shard in shards for key in stage.keys(shard)}


def _beat(board: Any, started: float, steps: Sequence[StageSpec], shards: Sequence[str]) -> HeartbeatRecord | None:
    """What the execution has in work, or None while the board does not answer."""
    try:
        found: list[tuple[str, str]] = ray.get(board.working.remote(), timeout=10)
    except ray.exceptions.RayError:
        return None
    working: dict[str, list[str]] = {folder: [] for step in steps for folder in sorted(_folders(step.stage, shards))}
    for step in steps:
        for shard in (shard for name, shard in found if name == step.stage.name):
            for folder in _folders(step.stage, [shard]):
                working[folder].append(shard)
    return HeartbeatRecord(host=socket.gethostname(), pid=os.getpid(), started=started, working=working)


def _configure(wait_s: float) -> None:
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.wait_for_min_actors_s = int(wait_s)


def _rows(dataset: Any, pools: dict[str, Pool], wait_s: float) -> Iterator[dict[str, str]]:
    try:
        yield from dataset.iter_rows()
    except ray.exceptions.GetTimeoutError as error:
        raise ClusterError(
            f"the actors of {' and '.join(pools)} did not start within {wait_s:g} s: the cluster has no room for them. "
            f"Add nodes, or lower {' or '.join(f'pools.{name}.gpus' for name in pools)}, or raise wait_for_gpus_s"
        ) from error
    except ray.exceptions.RayError as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise StageError(f"{' and '.join(pools)}: Ray gave up: {said[-1]}") from error


def _raise(store: Store, started: float, failure: dict[str, str]) -> None:
    where, said = f"{failure['stage']} {failure['shard']}".strip(), failure["said"]
    if failure["kind"]:
        raise _with_context(getattr(errors, failure["kind"], RunError), f"{where}: {said}")
    key = f"log/{_log_name(started)}-{failure['stage']}-error.txt"
    store.create(key, f"{where}\n{said}".encode())
    raise StageError(
        f"{where}: {said.strip().splitlines()[-1]}\nThis is a bug: {store.address}/{key} has the traceback"
    )


def _with_context(kind: type[AmiaError], said: str) -> AmiaError:
    """An error of that kind, or a RunError where the kind is not made of words alone."""
    return (kind if kind.__init__ is AmiaError.__init__ else RunError)(said)


def _log_name(started: float) -> str:
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(started))}-{socket.gethostname()}-{os.getpid()}"


def _keep_log(store: Store, board: Any, started: float) -> None:
    """Times, hosts and devices go here, never into a manifest: they differ from run to run."""
    try:
        lines = ray.get(board.log.remote(), timeout=30)
        ray.kill(board)  # Ray Data's objects hold a handle, so it would live as long as this driver
    except ray.exceptions.RayError:
        return  # the cluster is gone, and the log of this execution with it; the shards are not
    if lines:
        stages = "+".join(sorted({line["stage"] for line in lines}))
        with suppress(StoreError):  # a full disk ends the job by its shards, and says so of them
            store.create(
                f"log/{_log_name(started)}-{stages}.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode()
            )
