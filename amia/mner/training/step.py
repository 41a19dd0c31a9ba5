"""One optimizer step."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.amp import GradScaler
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from amia.mner.batch import Batch
from amia.mner.model import RecogniserModel
from amia.mner.training.world import World

__all__ = ["Stepper", "add_gradients"]


def add_gradients(
    model: RecogniserModel, batches: Iterable[Batch], world: World, scaler: GradScaler, dtype: torch.dtype
) -> tuple[float, dict[str, float]]:
    """Gradients of the mean loss over the global batch: all micro-batches of all workers.

    The mean is over posts, so it is the same however the posts were cut among micro-batches and workers. Returns the
    number of posts, 0 when no worker has any left, and the sums of each loss over this worker's.
    """
    batches = list(batches)
    (posts,) = world.sums(sum(map(len, batches)))
    parts: dict[str, float] = {}
    for batch in batches:
        moved = batch.to(model.device)
        with torch.autocast(model.device.type, dtype, enabled=dtype is not torch.float32):
            output = model(moved)
        scaler.scale(output.total().sum() / posts).backward()
        for name, loss in output.losses.items():
            parts[name] = parts.get(name, 0.0) + float(loss.detach().sum())
    if posts:
        world.add_up_gradients(each for each in model.parameters() if each.requires_grad)
    return posts, parts


@dataclass(slots=True)
class Stepper:
    """What a step needs besides posts."""

    model: RecogniserModel
    optimizer: AdamW
    schedule: LambdaLR
    world: World
    clip: float
    dtype: torch.dtype
    scaler: GradScaler

    def step(self, batches: Iterable[Batch]) -> tuple[float, dict[str, float]]:
        """Learn from one global batch; returns as `add_gradients`."""
        self.optimizer.zero_grad(set_to_none=True)
        posts, parts = add_gradients(self.model, batches, self.world, self.scaler, self.dtype)
        if posts:
            self.scaler.unscale_(self.optimizer)
            clip_grad_norm_((each for each in self.model.parameters() if each.requires_grad), self.clip)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.schedule.step()
        return posts, parts
