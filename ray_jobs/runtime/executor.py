"""Runs the unpublished shards of one or two stages on actors, with Ray Data.

A row of Ray Data is a lease: the names of a few consecutive shards. Actors read and publish through the store, so
images never pass through Ray's object store, and the assignment of shards to actors does not affect the output.
"""

import json
import logging
import os
import socket
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset

from amia import errors
from amia.errors import AmiaError, ClusterError, RunError, StageError
from ray_jobs.runtime.cluster import Cluster, resources
from ray_jobs.runtime.console import console
from ray_jobs.runtime.execution_log import ExecutionLog
from ray_jobs.runtime.faults import Fault, Verdict, describe
from ray_jobs.runtime.heartbeat import Heartbeat, HeartbeatRecord
from ray_jobs.runtime.progress import ProgressDisplay, ProgressTracker
from ray_jobs.runtime.signals import drain_on_sigterm
from ray_jobs.runtime.stage_actor import AnyStage, Failure, StageActor
from ray_jobs.settings.job import Pool
from ray_jobs.storage.facts import ShardFacts
from ray_jobs.storage.layout import LOG
from ray_jobs.storage.plan import Listings
from ray_jobs.storage.store import Store

__all__ = ["AnyStage", "StageSpec", "leases", "run_locally", "run_stages", "unpublished"]

logger = logging.getLogger(__name__)

MAX_DEATHS_AT_START = 20
"""Actors of one stage that may die one after the other while they start."""
NODE_LABEL = "ray.io/node-id"


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A stage and the pool of actors that runs it."""

    stage: AnyStage
    pool: Pool


class ShardSizes(Protocol):
    """Numbers of posts by shard: a `Plan`, or what the first pass of ingest knows of its parts."""

    def rows_of(self, shard: str) -> int:
        """Return the number of posts of a shard; 0 if it is unknown."""


def run_stages(
    store: Store,
    cluster: Cluster,
    plan: ShardSizes,
    specs: Sequence[StageSpec],
    shards: Sequence[str],
    *,
    wait_s: float,
    quiet: bool,
    stall_s: float,
    facts: ShardFacts | None = None,
) -> None:
    """Run every shard through the stages, streaming from the actors of one stage to those of the next.

    Published shards are skipped. `store` receives the log. `facts` receives the footers that the actors return, and
    publishes the table of each folder that is complete. An unexpected error or the death of a process costs the lease
    that it worked on, which runs again; a process whose shard makes no progress for `stall_s` seconds is ended. A node
    that fails again and again is left out, and the rest runs in another execution without it.

    Raises the AmiaError of the first actor that failed, StageError for an unexpected error that returned on several
    nodes, and ClusterError if the actors find no machines within `wait_s` seconds or if a shard kills its actor
    repeatedly.
    """
    remaining = _remaining(specs, shards, facts)
    if not remaining:
        return
    specs = list(remaining)
    missing_shards = _missing_shards(remaining, shards)
    totals = {spec.stage.name: sum(plan.rows_of(shard) for shard in missing) for spec, missing in remaining.items()}
    tracker = ProgressTracker.start(totals)
    started = time.time()
    left_out: list[str] = []
    log = ExecutionLog(store, tracker, _log_name(started), list(totals))
    try:
        with (
            log,
            ProgressDisplay(tracker, totals, quiet=quiet),
            Heartbeat(store, _log_name(started), lambda: _heartbeat_record(tracker, started, specs, missing_shards)),
            drain_on_sigterm(lambda: ray.get(tracker.stop.remote())),
        ):
            while remaining:
                execution = Execution(list(remaining), _missing_shards(remaining, shards), tracker, left_out, facts)
                failure = execution.run(cluster, wait_s, stall_s)
                if failure is None:
                    break
                if failure.kind != Verdict.LEAVE_OUT:
                    raise _error_of(failure, store, tracker, started)
                left_out.append(failure.message)
                if not quiet:
                    console.print(f"{failure.stage}: node {failure.message} fails at every shard and is left out")
                if facts is not None:
                    _list_again(specs, facts)
                remaining = _remaining(specs, shards, facts)
    finally:
        with suppress(ray.exceptions.RayError):
            ray.kill(tracker)  # objects of Ray Data hold a handle, so it would live as long as this driver
        if not quiet:
            log.print_degradations()
    if facts is not None:
        for folder in _list_again(specs, facts):
            facts.publish(folder)


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of Ray Data."""

    specs: Sequence[StageSpec]
    shards: Sequence[str]
    tracker: Any
    left_out: Sequence[str]
    """Ids of the nodes that run no actors."""
    facts: ShardFacts | None
    """Receives the footers of the shards as their leases finish."""

    def run(self, cluster: Cluster, wait_s: float, stall_s: float) -> Failure | None:
        """Run the shards, and return the first failure of a lease, which ends the execution. None if there is none."""
        pools = cluster.fit_pools({spec.stage.pool: spec.pool for spec in self.specs}, len(self.shards))
        # No more actors than shards. Of nodes that are left out, the minimum may have needed some: it falls to one.
        largest_min = 1 if self.left_out else len(self.shards)
        pools = {name: pool.model_copy(update={"min": min(pool.min, largest_min)}) for name, pool in pools.items()}
        cluster.wait_for_pools(pools, wait_s)
        rows = _iter_rows(self, pools, wait_s, stall_s)
        with closing(rows):
            for row in rows:
                if self.facts is not None:
                    self.facts.add(row["footers"])
                if row["failure"]:
                    return Failure(**json.loads(row["failure"]))
        return None


def run_locally(stage: AnyStage, shards: Sequence[str]) -> None:
    """Run the unpublished ones of a few shards through a stage in this process, one after the other.

    Raises the errors of the stage with its name and the shard.
    """
    missing = unpublished(stage.store, stage, shards)
    if missing:
        stage.setup()
    for shard in missing:
        try:
            done = stage.run(stage.load(shard))
            stage.publish(shard, done)
            for name, value in stage.log_fields(done).items():
                if value:
                    logger.warning("%s %s: %s: %s", stage.name, shard, name, value)
        except AmiaError as error:
            raise _make_error(type(error), f"{stage.name} {shard}: {error}") from error
        except Exception as error:  # of any kind: it is raised again with its place
            error.add_note(f"{stage.name} {shard}")
            raise


def unpublished(listings: Listings, stage: AnyStage, shards: Sequence[str]) -> list[str]:
    """Return the shards that a stage has yet to publish, by one listing of each folder that it writes to."""
    published = {key for folder in _folders(stage, shards) for key in listings.list(folder)}
    return [shard for shard in shards if not published.issuperset(stage.keys(shard))]


def leases(shards: Sequence[str], max_length: int, actors: int) -> list[list[str]]:
    """Cut shards into runs of at most `max_length`; shorter if otherwise not every actor would get two."""
    length = max(1, min(max_length, len(shards) // (2 * actors)))
    return [list(shards[start : start + length]) for start in range(0, len(shards), length)]


def _remaining(
    specs: Sequence[StageSpec], shards: Sequence[str], facts: ShardFacts | None
) -> dict[StageSpec, set[str]]:
    """Return the unpublished shards of each stage. A stage without any is left out, so that it starts no actors."""
    if facts is not None:
        facts.list_all([folder for spec in specs for folder in spec.stage.folders()])
    missing = {spec: set(unpublished(facts or spec.stage.store, spec.stage, shards)) for spec in specs}
    return {spec: names for spec, names in missing.items() if names}


def _list_again(specs: Sequence[StageSpec], facts: ShardFacts) -> list[str]:
    """List the folders that the stages have written to, and return them."""
    folders = [folder for spec in specs for folder in spec.stage.folders()]
    for folder in folders:
        facts.forget(folder)
    facts.list_all(folders)
    return folders


def _missing_shards(remaining: Mapping[StageSpec, set[str]], shards: Sequence[str]) -> list[str]:
    return [shard for shard in shards if any(shard in missing for missing in remaining.values())]


def _dataset(execution: Execution, pools: dict[str, Pool], wait_s: float, stall_s: float) -> Dataset:
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.wait_for_min_actors_s = int(wait_s)
    # Published shards are no progress in the eyes of Ray's guard. The watchdog of each actor notices one that hangs.
    context.execution_no_progress_timeout_s = -1
    context.max_consecutive_actor_init_deaths = MAX_DEATHS_AT_START
    specs = execution.specs
    first_pool = pools[specs[0].stage.pool]
    rows = [
        {"lease": json.dumps(lease), "failure": "", "footers": ""}
        for lease in leases(execution.shards, first_pool.lease, _num_actors(first_pool))
    ]
    dataset: Dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
    # Without excluded nodes there is no selector: not every cluster labels its nodes.
    nodes: dict[str, Any] = (
        {"label_selector": {NODE_LABEL: f"!in({','.join(execution.left_out)})"}} if execution.left_out else {}
    )
    for spec in specs:
        pool = pools[spec.stage.pool]
        dataset = dataset.map_batches(
            StageActor,
            fn_constructor_args=(spec.stage, execution.tracker, stall_s),
            batch_size=1,
            batch_format="numpy",
            num_cpus=pool.cpus,
            num_gpus=pool.gpus,
            compute=ActorPoolStrategy(min_size=pool.min, max_size=pool.max, max_tasks_in_flight_per_actor=2),
            **nodes,
        )
    return dataset


def _num_actors(pool: Pool) -> int:
    """Return how many actors of a pool the cluster has room for now, at most its maximum."""
    available = resources()
    capacities = [available.get(kind, 0.0) / need for kind, need in (("CPU", pool.cpus), ("GPU", pool.gpus)) if need]
    return max(pool.min, min([pool.max, *(int(capacity + 1e-9) for capacity in capacities)]))


def _folders(stage: AnyStage, shards: Sequence[str]) -> set[str]:
    return {key.rpartition("/")[0] for shard in shards for key in stage.keys(shard)}


def _iter_rows(
    execution: Execution, pools: dict[str, Pool], wait_s: float, stall_s: float
) -> Generator[dict[str, str], None, None]:
    try:
        yield from _dataset(execution, pools, wait_s, stall_s).iter_rows()
    except ray.exceptions.GetTimeoutError as error:
        raise ClusterError(
            f"the actors of {' and '.join(pools)} did not start within {wait_s:g} s: the cluster has no room for them. "
            f"Add nodes, or lower {' or '.join(f'pools.{name}.gpus' for name in pools)}, or raise wait_for_gpus_s"
        ) from error
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise StageError(f"{' and '.join(pools)}: Ray failed: {lines[-1]}") from error


def _error_of(failure: Failure, store: Store, tracker: Any, started: float) -> AmiaError:
    """Return the error of an actor. The tracebacks of an unexpected one are written to the log."""
    source = f"{failure.stage} {failure.shard}".strip()
    if failure.kind:
        return _make_error(getattr(errors, failure.kind, RunError), f"{source}: {failure.message}")
    faults: list[Fault] = ray.get(tracker.errors_at.remote(failure.stage, failure.shard))
    key = f"{LOG}/{_log_name(started)}-{failure.stage}-error.txt"
    texts = (f"{source} on {fault.host}, node {fault.node}\n{fault.traceback}" for fault in faults)
    store.create(key, "\n".join(texts).encode())
    return StageError(
        f"{source}: {faults[-1].cause}\nNo process could run it: {describe(faults)}\n"
        f"{store.address}/{key} has the tracebacks. Published shards stay: start the same command again to retry"
    )


def _make_error(kind: type[AmiaError], message: str) -> AmiaError:
    """Return an error of a class, or a RunError if the class takes more than a message."""
    return (kind if kind.__init__ is AmiaError.__init__ else RunError)(message)


def _heartbeat_record(
    tracker: Any, started: float, specs: Sequence[StageSpec], shards: Sequence[str]
) -> HeartbeatRecord | None:
    """Return which shards are in progress, or None while the tracker does not answer."""
    try:
        in_progress: list[tuple[str, str]] = ray.get(tracker.shards_in_progress.remote(), timeout=10)
    except ray.exceptions.RayError:
        return None
    working: dict[str, list[str]] = {folder: [] for spec in specs for folder in sorted(_folders(spec.stage, shards))}
    for spec in specs:
        for shard in (shard for name, shard in in_progress if name == spec.stage.name):
            for folder in _folders(spec.stage, [shard]):
                working[folder].append(shard)
    return HeartbeatRecord(host=socket.gethostname(), pid=os.getpid(), started=started, working=working)


def _log_name(started: float) -> str:
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(started))}-{socket.gethostname()}-{os.getpid()}"
