"""The machines that a job runs on: a local Ray on this machine, or a cluster that it was attached or submitted to.

On this machine the job fits its pools to the available resources, down to fractions of a core and without a GPU. On a
cluster the settings decide, and nothing is inferred from the nodes that happen to be up: resources that are not
available in time are an error.
"""

import logging
import math
import os
import time
import warnings
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

__all__ = ["Cluster", "alive_nodes", "connect", "driver_node_options", "resources"]

MODEL_POOLS = ("embed", "synthesize", "predict")
"""Pools whose actors compute on all their threads."""
WAIT_S = 60.0
WAIT_AUTOSCALED_S = 900.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """The machines that the job runs on."""

    is_local: bool
    """Whether Ray was started for this job alone, on this machine."""
    autoscales: bool
    """Whether the cluster reports that it can grow. The autoscalers of Ray 2.60 do not report it."""

    def is_one_machine(self) -> bool:
        """Return whether actors find the files of the driver's disk: all run on its machine, as far as is known now."""
        if self.is_local or self.autoscales:
            return self.is_local
        return len(alive_nodes()) == 1

    def fit_pools(self, pools: dict[str, Pool], shards: int | None = None) -> dict[str, Pool]:
        """Return the pools of one execution as they will run: fitted to this machine if the cluster is local.

        `shards`: number of shards of the execution, if it is known.
        """
        if not self.is_local:
            return pools
        available = resources()
        cores, gpus = available.get("CPU", 1.0), available.get("GPU", 0.0)
        fitted = {name: pool if gpus else pool.model_copy(update={"gpus": 0.0}) for name, pool in pools.items()}
        for name, pool in fitted.items():
            is_model_on_cpu = name in MODEL_POOLS and not pool.gpus
            # Two actors with more threads together than there are cores are many times slower than one.
            largest = max(1, int(cores // (pool.threads or cores))) if is_model_on_cpu else pool.max
            largest = max(pool.min, min(pool.max, largest, int(2 * cores)))
            # Start all actors of a model at once: with few cores Ray Data reserves some for the other pools, which
            # need almost nothing, and would leave the model a single core to the end.
            smallest = max(pool.min, min(largest, shards or largest)) if is_model_on_cpu else pool.min
            fitted[name] = pool.model_copy(update={"min": smallest, "max": largest})
        required = sum(pool.min * pool.cpus for pool in fitted.values())
        if required > cores:
            fitted = {
                name: pool.model_copy(update={"cpus": pool.cpus * cores / required}) for name, pool in fitted.items()
            }
        return fitted

    def threads(self, pool: Pool) -> int:
        """Return the threads of one actor's computation: the setting, or every core of this machine."""
        return pool.threads or len(os.sched_getaffinity(0))

    def wait_s(self, setting: float | None) -> float:
        """Return the seconds to wait for actors: the setting, or a default that depends on autoscaling."""
        return setting or (WAIT_AUTOSCALED_S if self.autoscales else WAIT_S)

    def wait_for_pools(self, pools: dict[str, Pool], wait_s: float) -> None:
        """Wait until the minimum pools of one execution fit the cluster together.

        Raises ClusterError if they do not within `wait_s` seconds: Ray Data would wait forever. Does not wait on a
        cluster that is known to autoscale, whose actors are waited for instead.
        """
        if self.autoscales:
            return
        actors = [{"GPU": pool.gpus, "CPU": pool.cpus} for pool in pools.values() for _ in range(pool.min)]
        shortage = _shortage(actors, self.wait_for(actors, wait_s))
        if shortage:
            setting = "gpus" if "GPU" in shortage else "cpus"
            raise ClusterError(
                f"{' and '.join(pools)} do not fit the cluster: {_describe(shortage)}, after {wait_s:g} s. Add nodes, "
                f"or lower {' or '.join(f'pools.{name}.{setting}' for name in pools)} (0 GPUs runs on CPUs), or raise "
                "wait_for_gpus_s"
            )

    def wait_for(self, processes: Sequence[dict[str, float]], wait_s: float) -> dict[str, float]:
        """Wait until `processes` (GPUs and CPUs of each) fit the cluster, at most `wait_s` seconds.

        Returns the resources of the cluster. Meanwhile they are requested from the autoscaler, which has no effect on a
        cluster without one: nothing else requests nodes before the execution starts.
        """
        deadline = time.monotonic() + (0.0 if self.is_local else wait_s)
        is_requested = False
        try:
            while (shortage := _shortage(processes, available := resources())) and time.monotonic() < deadline:
                if not is_requested:
                    console.print(f"waiting for the cluster: {_describe(shortage)}")
                    is_requested = True
                _request_resources(processes)  # every time: Ray Data overwrites the request
                time.sleep(1.0)
        finally:
            if is_requested:
                request_resources(bundles=[])  # idle nodes may be released
        return available


def connect() -> Cluster:
    """Join the cluster of RAY_ADDRESS, of `ray job submit` or of an earlier `ray.init`; else start Ray on this machine.

    A local Ray has no dashboard and keeps its logs in its session folder.
    """
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # failures are raised here, once, with our messages
    is_attached = ray.is_initialized() or bool(os.environ.get("RAY_ADDRESS"))
    if not ray.is_initialized():
        with keep_sigterm_handler(), warnings.catch_warnings():
            # A hint of older versions about a default that later ones changed; amia depends on neither.
            warnings.filterwarnings("ignore", "Tip: In future versions of Ray", FutureWarning)
            if is_attached:
                ray.init(logging_level=logging.WARNING, log_to_driver=False)
            else:
                # Ray protects a local cluster with a token and logs that at WARNING, which needs no action.
                logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
                ray.init(address="local", include_dashboard=False, logging_level=logging.WARNING, log_to_driver=False)
    autoscales = is_attached and ray_state.get_max_resources_from_cluster_config() is not None
    return Cluster(is_local=not is_attached, autoscales=autoscales)


def driver_node_options() -> dict[str, Any]:
    """Return options for a small actor that must live as long as the command: on the driver's node, without resources.

    Soft affinity would not work on a head node that offers no CPUs: the actor would be lost with another node.
    """
    node = ray.get_runtime_context().get_node_id()
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
    return {"num_cpus": 0, "scheduling_strategy": strategy}


def alive_nodes() -> list[dict[str, Any]]:
    """Return Ray's descriptions of the nodes that are alive."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray ships it untyped
    return [node for node in nodes if node["Alive"]]


def resources() -> dict[str, float]:
    """Return the CPUs, GPUs and other resources of the whole cluster, used or not."""
    total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray ships it untyped
    return total


def _shortage(processes: Sequence[dict[str, float]], available: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Return required and available amount of each resource of which `processes` together need more than there is."""
    required = {kind: sum(process.get(kind, 0.0) for process in processes) for kind in ("GPU", "CPU")}
    amounts = {kind: (amount, available.get(kind, 0.0)) for kind, amount in required.items()}
    return {kind: (need, has) for kind, (need, has) in amounts.items() if need > has + 1e-9}


def _request_resources(processes: Sequence[dict[str, float]]) -> None:
    """Request nodes from the autoscaler. Older versions of Ray take whole numbers only, so fractions are rounded up."""
    try:
        request_resources(bundles=list(processes))
    except TypeError:
        request_resources(
            bundles=[{kind: math.ceil(amount) for kind, amount in process.items()} for process in processes]
        )


def _describe(shortage: dict[str, tuple[float, float]]) -> str:
    return ", ".join(f"{need:g} {kind} needed, {has:g} available" for kind, (need, has) in shortage.items())
