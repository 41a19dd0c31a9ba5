"""Micro-batch of the generator, chosen once per run from the memory of a GPU of the synthesize stage.

The micro-batch changes the last bits of images, so later starts of a run keep the first choice on any machine.
"""

import json
from dataclasses import asdict
from typing import Any

import ray

from amia.errors import AmiaError, ClusterError, StageError
from amia.synthesis.settings import GeneratorSettings
from ray_jobs.jobs.context import RunContext
from ray_jobs.stages.synthesize import Synthesize

__all__ = ["PROPOSAL", "micro_batch"]

PROPOSAL = f"{Synthesize.name}/micro_batch.json"
"""The measurement and the chosen micro-batch, published before any image."""
LOADING_S = 900.0
"""Time to load the model: its weights may have to be downloaded first."""


def micro_batch(job: RunContext, generator: GeneratorSettings) -> int:
    """Return the micro-batch: as set, else as in the identity, else what fits on a GPU, or a fixed one on a CPU.

    The device of `generator` is resolved. Raises ClusterError if no GPU becomes available for the measurement.
    """
    existing = job.find_identity(Synthesize.name)
    if generator.micro_batch is not None:
        return generator.micro_batch  # the identity check refuses another one than the run was started with
    if existing is not None:
        return int(existing["settings"]["generator"]["micro_batch"])
    if generator.device == "cpu":
        return generator.batch
    if not job.store.exists(PROPOSAL):
        proposal = _measure_on_cluster(job, generator)
        if job.store.create(PROPOSAL, json.dumps(proposal, indent=1, sort_keys=True).encode()):
            job.log(
                f"micro-batch {proposal['micro_batch']}: {proposal['gpu']} has {proposal['room'] / 1e9:.1f} GB for an "
                f"actor; model and one image take {proposal['at_one'] / 1e9:.1f} GB, model and two images "
                f"{proposal['at_two'] / 1e9:.1f} GB"
            )
    return int(json.loads(job.store.read(PROPOSAL))["micro_batch"])  # of two drivers, the first one's


def measure_batch_size(generator: GeneratorSettings, size: int, share: float) -> dict[str, Any]:
    """Measure the memory of this process's GPU, and return it with the micro-batch that fits."""
    import torch  # not at the top: the driver should not wait for it

    from amia.synthesis.autobatch import measure_memory, propose_batch_size
    from amia.synthesis.generator import Generator

    Generator.fetch(generator)  # once per node: the hub's cache lets a single process download
    memory = measure_memory(generator, size, share)
    return {"micro_batch": propose_batch_size(memory), "gpu": torch.cuda.get_device_name(), **asdict(memory)}


def _measure_on_cluster(job: RunContext, generator: GeneratorSettings) -> dict[str, Any]:
    """Run `measure_batch_size` in a task with the resources of an actor of the stage."""
    pools = job.cluster.fit_pools({Synthesize.pool: job.settings.pools.synthesize})
    pool, wait_s = pools[Synthesize.pool], job.cluster.wait_s(job.settings.wait_for_gpus_s)
    job.cluster.wait_for_pools(pools, wait_s)
    task = ray.remote(measure_batch_size).options(num_cpus=pool.cpus, num_gpus=pool.gpus, max_retries=1)
    answer = task.remote(generator, job.settings.image.size, pool.gpus or 1.0)
    try:
        proposal: dict[str, Any] = ray.get(answer, timeout=wait_s + LOADING_S)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, AmiaError):
            raise error.cause from None
        raise StageError(f"{Synthesize.name}: the GPU's memory could not be measured: {error.cause!r}") from error
    except ray.exceptions.RayError as error:
        ray.cancel(answer, force=True)
        raise ClusterError(
            f"{Synthesize.name}: no GPU could be measured ({type(error).__name__}): add nodes, raise wait_for_gpus_s, "
            "or set generator.micro_batch=8 yourself"
        ) from error
    return proposal
