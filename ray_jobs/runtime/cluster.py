"""Which machines the job runs on: one of its own, or a cluster it was attached or submitted to.

On its own machine the job fits its pools to what is there, down to fractions of a core and without a GPU. On a
cluster the settings decide and nothing is guessed from the nodes that happen to be up: what has not come in time is
an error.
"""

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray._private.state import state as ray_state
from ray.autoscaler.sdk import request_resources

from amia.errors import ClusterError
from ray_jobs.runtime.console import console
from ray_jobs.runtime.signals import keep_sigterm_handler
from ray_jobs.settings.job import Pool

__all__ = ["Cluster", "connect", "driver_node_options", "resources"]

MODELS = ("embed", "synthesize", "predict")
"""Pools whose actors compute on all their threads."""
WAIT_S = 60.0
WAIT_AUTOSCALED_S = 900.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the job runs on."""

    is_local: bool
    """Whether Ray was started for this job alone, on this machine."""
    autoscales: bool
    """Whether the cluster says that it can grow by itself. Ray 2.60's own autoscalers do not say so."""

    def fit_pools(self, pools: dict[str, Pool], shards: int | None = None) -> dict[str, Pool]:
        """The pools of one execution as they will run: on a machine of its own they are made to fit it.

        `shards`: so many are to be done, where that is known.
        """
        if not self.is_local:
            return pools
        there = resources()
        cores, gpus = there.get("CPU", 1.0), there.get("GPU", 0.0)
        fit = {name: pool if gpus else pool.model_copy(update={"gpus": 0.0}) for name, pool in pools.items()}
        for name, pool in fit.items():
            on_cores = name in MODELS and not pool.gpus
            # Two actors whose threads together outnumber the cores are many times slower than one.
            most = max(1, int(cores // (pool.threads or cores))) if on_cores else pool.max
            most = max(pool.min, min(pool.max, most, int(2 * cores)))
            # All of a model's actors from the start: of few cores Ray Data keeps some for the other pools, which take
            # next to nothing, and would let the model have one core to the end.
            least = max(pool.min, min(most, shards or most)) if on_cores else pool.min
            fit[name] = pool.model_copy(update={"min": least, "max": most})
        whole = sum(pool.min * pool.cpus for pool in fit.values())
        if whole > cores:
            fit = {name: pool.model_copy(update={"cpus": pool.cpus * cores / whole}) for name, pool in fit.items()}
        return fit

    def threads(self, pool: Pool) -> int:
        """Threads of one actor's arithmetic: as set, else every core of this machine."""
        return pool.threads or len(os.sched_getaffinity(0))

    def wait_s(self, asked: float | None) -> float:
        """Seconds to wait for actors: as set, else by whether machines must first be bought."""
        return asked or (WAIT_AUTOSCALED_S if self.autoscales else WAIT_S)

    def wait_for_pools(self, pools: dict[str, Pool], wait_s: float) -> None:
        """Wait until the smallest pools of one execution fit the cluster together.

        Raises ClusterError when they do not within `wait_s` seconds: Ray Data would wait for ever. A cluster that is
        known to scale itself is left to do so; its actors are waited for instead.
        """
        if self.autoscales:
            return
        actors = [{"GPU": pool.gpus, "CPU": pool.cpus} for pool in pools.values() for _ in range(pool.min)]
        short = _lacking(actors, self.wait_for(actors, wait_s))
        if short:
            setting = "gpus" if "GPU" in short else "cpus"
            raise ClusterError(
                f"{' and '.join(pools)} do not fit the cluster: {_said(short)}, after {wait_s:g} s. Add nodes, or "
                f"lower {' or '.join(f'pools.{name}.{setting}' for name in pools)} (0 GPUs runs on CPUs), or raise "
                "wait_for_gpus_s"
            )

    def wait_for(self, processes: Sequence[dict[str, float]], wait_s: float) -> dict[str, float]:
        """The cluster's resources as soon as `processes` (GPUs and CPUs of each) fit it, at the latest in `wait_s` s.

        Meanwhile the cluster is asked for them. One that scales itself grows by what is asked of it, and before its
        nodes are there nothing else asks; to any other it means nothing.
        """
        deadline = time.monotonic() + (0.0 if self.is_local else wait_s)
        told = False
        try:
            while (short := _lacking(processes, there := resources())) and time.monotonic() < deadline:
                if not told:
                    console.print(f"waiting for the cluster: {_said(short)}")
                    told = True
                request_resources(bundles=list(processes))  # again each time: Ray Data overwrites it when it looks
                time.sleep(1.0)
        finally:
            if told:
                request_resources(bundles=[])  # what is idle may go again
        return there


def _lacking(processes: Sequence[dict[str, float]], there: dict[str, float]) -> dict[str, tuple[float, float]]:
    """What `processes` need together and what is there, of each kind that is short."""
    need = {kind: sum(each.get(kind, 0.0) for each in processes) for kind in ("GPU", "CPU")}
    return {kind: (need[kind], has) for kind in need if need[kind] > (has := there.get(kind, 0.0)) + 1e-9}


def _said(short: dict[str, tuple[float, float]]) -> str:
    return ", ".join(f"{need:g} {kind} needed, {has:g} there" for kind, (need, has) in short.items())


def connect() -> Cluster:
    """Join the cluster that RAY_ADDRESS (or `ray job submit`) names or that the caller has joined; else start Ray here.

    A Ray of one's own shows no dashboard and keeps its logs in its session folder.
    """
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what fails there is raised here, once, in our words
    attached = ray.is_initialized() or bool(os.environ.get("RAY_ADDRESS"))
    if not ray.is_initialized():
        with keep_sigterm_handler():
            if attached:
                ray.init(logging_level=logging.WARNING, log_to_driver=False)
            else:
                # Ray guards a cluster of one's own by a token and says so at WARNING: nothing to do for anybody.
                logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
                ray.init(address="local", include_dashboard=False, logging_level=logging.WARNING, log_to_driver=False)
    scales = attached and ray_state.get_max_resources_from_cluster_config() is not None
    return Cluster(is_local=not attached, autoscales=scales)


def driver_node_options() -> dict[str, Any]:
    """Options of a small actor that must live as long as the command does: no resources, on the driver's node.

    A soft affinity would not hold on a head that was told to offer no CPUs: the actor would go with some other node.
    """
    here = ray.get_runtime_context().get_node_id()
    placed = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
    return {"num_cpus": 0, "scheduling_strategy": placed}


def resources() -> dict[str, float]:
    """CPUs, GPUs and so on of the whole cluster, busy or not."""
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray ships it untyped
    return there
