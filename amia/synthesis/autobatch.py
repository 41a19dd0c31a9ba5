"""Choose the micro-batch of the generator by the memory of the GPU."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from amia.accelerator import GpuOptions, resolve_device
from amia.synthesis.generator import Generator
from amia.synthesis.settings import GeneratorSettings

__all__ = ["MAX_BATCH", "MEMORY_RESERVE", "MemoryProfile", "measure_memory", "propose_batch_size"]

MAX_BATCH = 32
"""Images. A GPU is saturated with far fewer, and a larger micro-batch leaves the last one of a shard emptier."""
MEMORY_RESERVE = 0.8
"""Share of the memory to plan with. Fragmentation, libraries and the prompts of a shard take the rest."""


@dataclass(frozen=True, slots=True)
class MemoryProfile:
    """Memory that a generator takes on a GPU, in bytes."""

    room: int
    """Memory free for this process before the model was loaded, at most the actor's share of the GPU."""
    at_one: int
    """Peak memory with one image per forward pass, including the model."""
    at_two: int
    """Peak memory with two images per forward pass, including the model."""


def propose_batch_size(memory: MemoryProfile) -> int:
    """Return the largest power of two that fits, at most `MAX_BATCH`. A power of two divides the 512 posts of a shard.

    Memory is assumed to grow linearly with the number of images. Returns 1 if no growth was measured.
    """
    per_image = memory.at_two - memory.at_one
    if per_image <= 0:
        return 1
    max_images = (MEMORY_RESERVE * memory.room - (memory.at_one - per_image)) / per_image
    size = 1
    while 2 * size <= min(max_images, MAX_BATCH):
        size *= 2
    return size


def measure_memory(
    settings: GeneratorSettings,
    size: int,
    share: float,
    *,
    mem_get_info: Callable[[torch.device], tuple[int, int]] = torch.cuda.mem_get_info,
    reset_peak: Callable[[torch.device], None] = torch.cuda.reset_peak_memory_stats,
    max_memory_allocated: Callable[[torch.device], int] = torch.cuda.max_memory_allocated,
) -> MemoryProfile:
    """Load the generator and measure its peak memory while it generates one image, then two.

    `share` is the share of the GPU that an actor has. The model is not compiled: compilation takes minutes, and a
    compiled model usually takes less memory. The last three arguments are replaced only in tests. If two images do not
    fit, they count as taking all the memory.
    """
    device = resolve_device(settings.device)
    free, total = mem_get_info(device)
    room = min(free, int(total * min(share, 1.0)))
    measured = settings.model_copy(update={"micro_batch": 2, "redraws": 0})
    generator = Generator.load(measured, size, local_files_only=True, gpu_options=GpuOptions(channels_last=True))
    peaks = []
    for count in (1, 2):
        reset_peak(device)
        generator.generate(["a photograph"] * count, list(range(count)))
        peaks.append(max_memory_allocated(device) if not generator.num_oom_reduced else room)
    return MemoryProfile(room, *peaks)
