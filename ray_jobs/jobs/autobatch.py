"""Images a forward pass of the generator: chosen once a run, by the memory of a GPU that will draw for it.

The choice moves the last bits of images, so whatever machines a later start of the run gets, it keeps the first.
"""

import json
from dataclasses import asdict
from typing import Any

import ray

from amia.errors import AmiaError, ClusterError, StageError
from amia.synthesis.settings import GeneratorSettings
from ray_jobs.jobs.context import RunContext
from ray_jobs.stages.synthesize import Synthesize
from ray_jobs.storage.fingerprint import read_identity

__all__ = ["PROPOSAL", "micro_batch"]

PROPOSAL = f"{Synthesize.name}/micro_batch.json"
"""What was measured and what follows; published before anything that is made with it."""
LOADING_S = 900.0
"""Weights may have to come from the hub first."""


def micro_batch(job: RunContext, generator: GeneratorSettings) -> int:
    """As set; else as the run was begun with; else, on a GPU, as its memory allows, and the settings' own on a CPU.

    `generator.device` is already known. Raises ClusterError when no GPU comes to be measured.
    """
    begun = read_identity(job.store, Synthesize.name)
    if generator.micro_batch is not None:
        return generator.micro_batch  # whether it is the one that the run was begun with, its identity decides
    if begun is not None:
        return int(begun["settings"]["generator"]["micro_batch"])
    if generator.device == "cpu":
        return generator.batch
    if not job.store.exists(PROPOSAL):
        told = _measured(job, generator)
        if job.store.create(PROPOSAL, json.dumps(told, indent=1, sort_keys=True).encode()):
            job.say(
                f"micro-batch {told['micro_batch']}: {told['gpu']} has {told['room'] / 1e9:.1f} GB for an actor, one "
                f"image takes {told['at_one'] / 1e9:.1f} GB with the model, two {told['at_two'] / 1e9:.1f} GB"
            )
    return int(json.loads(job.store.read(PROPOSAL))["micro_batch"])  # of two drivers, the first one's


def measure_batch_size(generator: GeneratorSettings, size: int, share: float) -> dict[str, Any]:
    """What the GPU of this process holds, and the micro-batch that follows."""
    import torch  # here, so that the driver does not wait for it

    from amia.synthesis.autobatch import measure_memory, propose_batch_size
    from amia.synthesis.generator import Generator

    Generator.fetch(generator)  # once a node: the hub's cache lets one process fetch
    memory = measure_memory(generator, size, share)
    return {"micro_batch": propose_batch_size(memory), "gpu": torch.cuda.get_device_name(), **asdict(memory)}


def _measured(job: RunContext, generator: GeneratorSettings) -> dict[str, Any]:
    """The same in a process that gets what an actor of the stage gets."""
    pools = job.machines.fit_pools({Synthesize.pool: job.settings.pools.synthesize})
    pool, wait_s = pools[Synthesize.pool], job.machines.wait_s(job.settings.wait_for_gpus_s)
    job.machines.wait_for_pools(pools, wait_s)
    task = ray.remote(measure_batch_size).options(num_cpus=pool.cpus, num_gpus=pool.gpus, max_retries=1)
    answer = task.remote(generator, job.settings.image.size, pool.gpus or 1.0)
    try:
        told: dict[str, Any] = ray.get(answer, timeout=wait_s + LOADING_S)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, AmiaError):
            raise error.cause from None
        raise StageError(f"{Synthesize.name}: the GPU's memory could not be measured: {error.cause!r}") from error
    except ray.exceptions.RayError as error:
        ray.cancel(answer, force=True)
        raise ClusterError(
            f"{Synthesize.name}: no GPU could be measured ({type(error).__name__}): add nodes, raise wait_for_gpus_s, "
            "or say generator.micro_batch=8 yourself"
        ) from error
    return told
