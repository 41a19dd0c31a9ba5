"""How many images a forward pass may have, by the memory of the GPU that draws them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from amia.accelerator import GpuOptions, resolve_device
from amia.synthesis.generator import Generator
from amia.synthesis.settings import GeneratorSettings

__all__ = ["MAX_BATCH", "MemoryProfile", "measure_memory", "propose_batch_size"]

MAX_BATCH = 32
"""Images; a GPU is busy with far fewer, and more would only make the last pass of a shard emptier."""
MEMORY_RESERVE = 0.8
"""Share of the memory that is planned with: gaps between tensors, libraries and a shard's texts take the rest."""


@dataclass(frozen=True, slots=True)
class MemoryProfile:
    """What was measured of a generator on a GPU, in bytes."""

    room: int
    """Free for this process before the model was loaded, of the GPU's share that an actor has."""
    at_one: int
    """At the highest, the model included, with one image in a pass."""
    at_two: int
    """Likewise with two."""


def propose_batch_size(memory: MemoryProfile) -> int:
    """The largest power of two, at most `MAX_BATCH`, that fits: shards are made of 512 posts, which it divides.

    Memory grows in a straight line with the images; where it was not seen to grow, nothing is known, and 1 is said.
    """
    each = memory.at_two - memory.at_one
    if each <= 0:
        return 1
    fit = (MEMORY_RESERVE * memory.room - (memory.at_one - each)) / each
    size = 1
    while 2 * size <= min(fit, MAX_BATCH):
        size *= 2
    return size


def measure_memory(
    settings: GeneratorSettings,
    size: int,
    share: float,
    *,
    free: Callable[[torch.device], tuple[int, int]] = torch.cuda.mem_get_info,
    restart: Callable[[torch.device], None] = torch.cuda.reset_peak_memory_stats,
    peak: Callable[[torch.device], int] = torch.cuda.max_memory_allocated,
) -> MemoryProfile:
    """Load the generator, draw one image, then two, and look at what that took; `share`: of the GPU, an actor's.

    Not compiled: that takes minutes, and as a rule less memory. `free`, `restart` and `peak`
    are the GPU's, but for tests. Two images that do not fit are said to take all the room.
    """
    device = resolve_device(settings.device)
    unhurried, total = free(device)
    room = min(unhurried, int(total * min(share, 1.0)))
    alone = settings.model_copy(update={"micro_batch": 2, "redraws": 0})
    generator = Generator.load(alone, size, local_files_only=True, tuning=GpuOptions(channels_last=True))
    taken = []
    for count in (1, 2):
        restart(device)
        generator.generate(["a photograph"] * count, list(range(count)))
        taken.append(peak(device) if not generator.halved else room)
    return MemoryProfile(room, *taken)
