"""The actor that runs a stage: takes a lease, and loads, runs and publishes its shards in a pipeline."""

import faulthandler
import gc
import json
import os
import socket
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import ray
from ray.util.metrics import Counter, Histogram

from amia.errors import AmiaError, ClusterError
from ray_jobs.runtime.faults import Fault, Verdict
from ray_jobs.runtime.progress import ProcessLocation
from ray_jobs.stages.base import Stage
from ray_jobs.storage.facts import pack_footers
from ray_jobs.storage.shards import ShardMetadata
from ray_jobs.storage.status import count_failures

__all__ = ["AnyStage", "Failure", "StageActor", "freeze_gc_after"]

Batch = dict[str, np.ndarray]
AnyStage = Stage[Any, Any]

MAX_ATTEMPTS = 5
"""Processes that may die at one shard. Ray restarts a lost actor without limit, which is right where nodes come and go;
a shard that kills its actor each time, mostly by its memory, must end the job."""
STDERR = 2
"""File descriptor of standard error."""
STALL_FACTOR = 20.0
"""Times the slowest shard of a process so far that a shard may take, if that is longer than the watchdog's setting."""
MAX_IDS = 20
"""Ids per shard and kind of failure in the log."""
HISTOGRAM_SECONDS = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]
"""Upper bounds of the histogram's buckets."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that ended a lease, as JSON in its row on the way from the actor to the driver."""

    kind: str
    """Name of the class if it is an AmiaError. Verdict.LEAVE_OUT if the driver is to continue without the node in the
    message. Else empty."""
    message: str
    """Message of an AmiaError, else the traceback."""
    stage: str
    shard: str
    """Empty if the error is not about one shard."""

    @classmethod
    def from_error(cls, error: Exception, stage: str, shard: str) -> "Failure":
        """Describe an exception."""
        if isinstance(error, ray.exceptions.RayError):  # the actor calls only the progress tracker
            error = ClusterError("the connection to the machine of the command was lost: start the same command again")
        if isinstance(error, AmiaError):
            return cls(type(error).__name__, str(error), stage, shard)
        return cls("", "".join(traceback.format_exception(error)), stage, shard)

    def to_json(self) -> str:
        """Return the content of the row's column `failure`."""
        return json.dumps(asdict(self))


class StageActor:
    """Takes leases through a stage: while shard K runs, K+1 is loaded and K-1 is published."""

    def __init__(self, stage: AnyStage, tracker: Any, stall_s: float) -> None:
        """`tracker`: handle of a `ProgressTracker`. `stall_s`: seconds without progress that end this process."""
        self._stage, self._tracker, self._is_set_up = stage, tracker, False
        self._watchdog = Watchdog(stall_s)
        context = ray.get_runtime_context()
        self._location = ProcessLocation(socket.gethostname(), context.get_node_id(), os.getpid())
        self._metrics = StageMetrics(stage.name)
        self._reports: list[ray.ObjectRef[None]] = []
        self._footers: dict[str, ShardMetadata] = {}
        self._cpu_s = 0.0

    def __call__(self, batch: Batch) -> Batch:
        """Process one lease, a JSON list of names of shards. Errors are returned in column `failure`.

        Column `footers` gets a line with the footers of the published files, for the driver.
        """
        if batch["failure"][0]:
            return batch
        self._footers.clear()
        try:
            with self._watchdog:
                if not self._is_set_up:
                    # Not in __init__: the time to load weights must not count as time to wait for machines.
                    with freeze_gc_after():
                        self._stage.setup()
                    self._is_set_up = True
                self._process(json.loads(batch["lease"][0]))
        except _ShardError as error:
            return self._fail(batch, error.error, error.shard)
        except Exception as error:  # noqa: BLE001  # recorded; the last one ends the job
            return self._fail(batch, error, "")
        return {**batch, "footers": np.array([batch["footers"][0] + pack_footers(self._footers)], object)}

    def _fail(self, batch: Batch, error: Exception, shard: str) -> Batch:
        """Return a failed lease for the driver, or end this process so that Ray runs the lease again in another."""
        failure = Failure.from_error(error, self._stage.name, shard)
        if not failure.kind:
            fault = Fault(
                stage=self._stage.name,
                shard=shard,
                **self._location._asdict(),
                cause=failure.message.strip().splitlines()[-1],
                traceback=failure.message,
                time=time.time(),
            )
            verdict = ray.get(self._tracker.record_fault.remote(fault))
            if verdict == Verdict.RETRY:
                end_process()
            if verdict == Verdict.LEAVE_OUT:
                failure = replace(failure, kind=Verdict.LEAVE_OUT, message=self._location.node)
        return {**batch, "failure": np.array([failure.to_json()])}

    def _process(self, lease: Sequence[str]) -> None:
        with ThreadPoolExecutor(1, "load") as loader, ThreadPoolExecutor(1, "publish") as publisher:
            self._reports.clear()
            self._cpu_s = time.process_time()
            loads: list[Future[Any]] = [loader.submit(self._load, shard) for shard in lease[:1]]
            publication: Future[None] | None = None
            for index, shard in enumerate(lease):
                self._watchdog.restart()
                with _shard_context(shard):
                    loaded, load_s = loads.pop().result()
                loads += [loader.submit(self._load, following) for following in lease[index + 1 : index + 2]]
                if loaded is None or ray.get(self._tracker.is_stopped.remote()):
                    continue
                start = time.monotonic()
                with _shard_context(shard):
                    done = self._stage.run(loaded)
                run_s = time.monotonic() - start
                if publication is not None:
                    publication.result()
                publication = publisher.submit(self._publish, shard, done, {"load_s": load_s, "run_s": run_s})
            if publication is not None:
                publication.result()
        ray.get(self._reports)  # before the driver receives the row, so that its log is complete

    def _load(self, shard: str) -> tuple[Any, float]:
        """Return the loaded shard and the seconds it took. None instead of a shard that must not be run."""
        start = time.monotonic()
        if self._is_published(shard) or ray.get(self._tracker.is_stopped.remote()):
            return None, 0.0
        attempts = ray.get(self._tracker.start_shard.remote(self._stage.name, shard, self._location))
        if attempts > MAX_ATTEMPTS:
            raise ClusterError(
                f"{MAX_ATTEMPTS} processes died at this shard, most likely for lack of memory: run fewer actors per "
                "node (raise pools.*.cpus), or use larger nodes or smaller shards (per_shard of `amia ingest`)"
            )
        try:
            return self._stage.load(shard), time.monotonic() - start
        except Exception:  # the error of missing input depends on the stage and the store
            if self._is_published(shard):
                return None, 0.0  # another driver has published the shard and removed the input
            raise

    def _is_published(self, shard: str) -> bool:
        return all(self._stage.store.exists(key) for key in self._stage.keys(shard))

    def _publish(self, shard: str, done: Any, seconds: dict[str, float]) -> None:
        start = time.monotonic()
        with _shard_context(shard):
            metadata = self._stage.publish(shard, done)
            self._footers |= self._stage.take_footers()
            failures = self._stage.failures(done)
        seconds = {**seconds, "publish_s": time.monotonic() - start}
        fields = {name: value for name, value in self._stage.log_fields(done).items() if value}
        self._metrics.count(
            metadata.rows,
            failures,
            {part.removesuffix("_s"): value for part, value in seconds.items()},
            oom_reduced=fields.get("oom_reduced", 0),
        )
        # CPU time of the whole process since the previous shard, neighboring shards included: only sums are meaningful.
        previous_cpu_s, self._cpu_s = self._cpu_s, time.process_time()
        seconds["cpu_s"] = self._cpu_s - previous_cpu_s
        line = {
            "stage": self._stage.name,
            "shard": shard,
            "posts": metadata.rows,
            "failures": {status: {"posts": len(ids), "ids": ids[:MAX_IDS]} for status, ids in sorted(failures.items())},
            "ended": time.time(),
            **{name: round(value, 4) for name, value in seconds.items()},
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
            **fields,
        }
        failed = count_failures(metadata.counts)
        node = self._location.node
        self._reports.append(self._tracker.finish_shard.remote(self._stage.name, metadata.rows, failed, line, node))


class Watchdog:
    """Ends this process if a shard makes no progress, even while a library holds the interpreter lock.

    The stacks of all threads are written to the process's standard error, which Ray keeps in its log.
    """

    def __init__(self, stall_s: float) -> None:
        self._stall_s, self._slowest_s, self._started = stall_s, 0.0, 0.0

    def __enter__(self) -> None:
        self._start()

    def __exit__(self, *_: object) -> None:
        faulthandler.cancel_dump_traceback_later()

    def restart(self) -> None:
        """Report progress: the shard before is done."""
        self._slowest_s = max(self._slowest_s, time.monotonic() - self._started)
        self._start()

    def _start(self) -> None:
        self._started = time.monotonic()
        timeout_s = max(self._stall_s, STALL_FACTOR * self._slowest_s)
        faulthandler.dump_traceback_later(timeout_s, exit=True, file=STDERR)


def end_process() -> None:
    """End this process at once, without Python's clean-up: after a CUDA error it could hang."""
    os._exit(1)


class StageMetrics:
    """Metrics of one actor, which Ray exports to Prometheus.

    Ray names them `ray_amia_posts_total{stage}`, `ray_amia_failed_posts_total{stage, reason}`,
    `ray_amia_oom_reduced_total{stage}` and `ray_amia_shard_seconds{stage, part}`, a histogram of the seconds that a
    shard took to `load`, `run` and `publish`.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._posts = Counter("amia_posts", "Posts in published shards", ("stage",))
        self._failed = Counter("amia_failed_posts", "Posts whose image or synthesis failed", ("stage", "reason"))
        self._oom_reduced = Counter(
            "amia_oom_reduced", "Inputs processed in smaller micro-batches after running out of memory", ("stage",)
        )
        self._seconds = Histogram("amia_shard_seconds", "Seconds per shard", HISTOGRAM_SECONDS, ("stage", "part"))

    def count(
        self, posts: int, failures: Mapping[str, Sequence[str]], seconds: Mapping[str, float], *, oom_reduced: int = 0
    ) -> None:
        """Count a published shard: its posts, the ids of failed posts by reason, and the seconds by part."""
        if posts:  # a split may hold none; Ray refuses to count nothing
            self._posts.inc(posts, {"stage": self._stage})
        for reason, ids in failures.items():
            self._failed.inc(len(ids), {"stage": self._stage, "reason": reason})
        if oom_reduced:
            self._oom_reduced.inc(oom_reduced, {"stage": self._stage})
        for part, value in seconds.items():
            self._seconds.observe(value, {"stage": self._stage, "part": part})


class _ShardError(Exception):  # wraps the error of a stage; never leaves the actor
    def __init__(self, shard: str, error: Exception) -> None:
        super().__init__(shard)
        self.shard, self.error = shard, error


@contextmanager
def _shard_context(shard: str) -> Iterator[None]:
    """Wrap errors in `_ShardError`, except errors of the cluster."""
    try:
        yield
    except ray.exceptions.RayError:
        raise
    except Exception as error:  # `Failure.from_error` sorts them by kind
        raise _ShardError(shard, error) from error


@contextmanager
def freeze_gc_after() -> Iterator[None]:
    """Disable garbage collection in the block, and exclude all objects alive after it from later collections.

    Model libraries create a million objects, which Python would search again and again during their import and once
    more at exit: together a third of the cost of starting and ending an actor.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
