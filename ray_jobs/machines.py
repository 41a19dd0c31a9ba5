"""Which machines the job runs on: one of its own, or a cluster it was attached or submitted to.

On its own machine the job fits its pools to what is there, down to fractions of a core and without a GPU. On a
cluster the settings decide and nothing is guessed from the nodes that happen to be up: what has not come in time is
an error.
"""

import logging
import os
import time
from dataclasses import dataclass

import ray
from ray._private.state import state as ray_state

from amia.errors import ClusterError
from ray_jobs.settings import Pool
from ray_jobs.stopping import heeding_still
from ray_jobs.terminal import console

__all__ = ["Machines", "connect", "resources"]

MODELS = ("embed", "synthesize", "predict")
"""Pools whose actors compute on all their threads."""
WAIT_S = 60.0
WAIT_AUTOSCALED_S = 900.0


@dataclass(frozen=True, slots=True)
class Machines:
    """What the job runs on."""

    own: bool
    """Whether Ray was started for this job alone, on this machine."""
    scales: bool
    """Whether the cluster can grow by itself."""

    def fitted(self, pools: dict[str, Pool]) -> dict[str, Pool]:
        """The pools of one execution as they will run: on a machine of its own they are made to fit it."""
        if not self.own:
            return pools
        there = resources()
        cores, gpus = there.get("CPU", 1.0), there.get("GPU", 0.0)
        fit = {name: pool if gpus else pool.model_copy(update={"gpus": 0.0}) for name, pool in pools.items()}
        for name, pool in fit.items():
            # Two actors whose threads together outnumber the cores are many times slower than one.
            most = max(1, int(cores // (pool.threads or cores))) if name in MODELS and not pool.gpus else pool.max
            fit[name] = pool.model_copy(update={"max": max(pool.min, min(pool.max, most, int(2 * cores)))})
        least = sum(pool.min * pool.cpus for pool in fit.values())
        if least > cores:
            fit = {name: pool.model_copy(update={"cpus": pool.cpus * cores / least}) for name, pool in fit.items()}
        return fit

    def threads(self, pool: Pool) -> int:
        """Threads of one actor's arithmetic: as set, else every core of this machine."""
        return pool.threads or len(os.sched_getaffinity(0))

    def wait_s(self, asked: float | None) -> float:
        """Seconds to wait for actors: as set, else by whether machines must first be bought."""
        return asked or (WAIT_AUTOSCALED_S if self.scales else WAIT_S)

    def require(self, pools: dict[str, Pool], wait_s: float) -> None:
        """Wait until the smallest pools of one execution fit the cluster together.

        Raises ClusterError when they do not within `wait_s` seconds: Ray Data would wait for ever. A cluster that
        scales itself is left to do so; its actors are waited for instead.
        """
        if self.scales:
            return
        need = {
            "GPU": sum(pool.min * pool.gpus for pool in pools.values()),
            "CPU": sum(pool.min * pool.cpus for pool in pools.values()),
        }
        deadline = time.monotonic() + (0.0 if self.own else wait_s)
        told = False
        while True:
            there = resources()
            short = {kind: amount for kind, amount in need.items() if amount > there.get(kind, 0.0) + 1e-9}
            if not short:
                return
            lacking = ", ".join(
                f"{amount:g} {kind} needed, {there.get(kind, 0):g} there" for kind, amount in short.items()
            )
            if time.monotonic() >= deadline:
                setting = "gpus" if "GPU" in short else "cpus"
                raise ClusterError(
                    f"{' and '.join(pools)} do not fit the cluster: {lacking}, after {wait_s:g} s. Add nodes, or lower "
                    f"{' or '.join(f'pools.{name}.{setting}' for name in pools)} (0 GPUs runs on CPUs), or raise "
                    "wait_for_gpus_s"
                )
            if not told:
                console.print(f"waiting for the cluster: {lacking}")
                told = True
            time.sleep(1.0)


def connect() -> Machines:
    """Join the cluster that RAY_ADDRESS (or `ray job submit`) names or that the caller has joined; else start Ray here.

    A Ray of one's own shows no dashboard and keeps its logs in its session folder.
    """
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what fails there is raised here, once, in our words
    attached = ray.is_initialized() or bool(os.environ.get("RAY_ADDRESS"))
    if not ray.is_initialized():
        with heeding_still():
            if attached:
                ray.init(logging_level=logging.WARNING, log_to_driver=False)
            else:
                # Ray guards a cluster of one's own by a token and says so at WARNING: nothing to do for anybody.
                logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
                ray.init(address="local", include_dashboard=False, logging_level=logging.WARNING, log_to_driver=False)
    scales = attached and ray_state.get_max_resources_from_cluster_config() is not None
    return Machines(own=not attached, scales=scales)


def resources() -> dict[str, float]:
    """CPUs, GPUs and so on of the whole cluster, busy or not."""
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray ships it untyped
    return there
