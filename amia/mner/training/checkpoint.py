"""The state of a training as files: safetensors and JSON, no pickle."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from amia.errors import RunError
from amia.mner.model import RecognizerModel
from amia.mner.training.distributed import DistContext

__all__ = ["Files", "load_weights", "pack", "unpack"]

Files = dict[str, bytes]
"""File name -> content."""

WEIGHTS, OPTIMIZER, RANDOM, STATE = "model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"


def pack(
    model: RecognizerModel, optimizer: AdamW, schedule: LambdaLR, world: DistContext, progress: dict[str, Any]
) -> Files:
    """Everything that a later process needs to go on as if nothing had happened. Every worker calls it.

    `progress` is what the training keeps beside tensors: epochs done, the best F1, the reports so far.
    """
    names = {id(weights): name for name, weights in model.named_parameters()}
    moments = {
        f"{names[id(weights)]}:{key}": value.cpu().contiguous()
        for weights, kept in optimizer.state.items()
        for key, value in kept.items()
    }
    random = {f"cpu:{rank}": state for rank, state in enumerate(world.gathered(torch.get_rng_state()))}
    if torch.cuda.is_available():
        random |= {f"cuda:{rank}": state for rank, state in enumerate(world.gathered(torch.cuda.get_rng_state()))}
    state = {**progress, "schedule": schedule.last_epoch}
    return {
        WEIGHTS: save({name: each.detach().cpu().contiguous() for name, each in _learned(model).items()}),
        OPTIMIZER: save(moments),
        RANDOM: save(random),
        STATE: json.dumps(state).encode(),
    }


def unpack(
    files: Files, model: RecognizerModel, optimizer: AdamW, schedule: LambdaLR, world: DistContext
) -> dict[str, Any]:
    """Put a packed state back, and return its `progress`. Raises RunError when it belongs to another model, or is
    damaged.

    With another number of workers than before, those that are new keep their own random state.
    """
    load_weights(files, model)
    weights = dict(model.named_parameters())
    with _damage():
        for key, value in load(files[OPTIMIZER]).items():
            name, _, kept = key.rpartition(":")
            each = weights[name]
            if kept != "step" and value.shape != each.shape:
                raise ValueError(f"{key} of shape {tuple(value.shape)}")
            optimizer.state[each][kept] = value if kept == "step" else value.to(each.device)
        random = load(files[RANDOM])
        if (state := random.get(f"cpu:{world.rank}")) is not None:
            torch.set_rng_state(state)
        if torch.cuda.is_available() and (state := random.get(f"cuda:{world.rank}")) is not None:
            torch.cuda.set_rng_state(state)
        progress: dict[str, Any] = json.loads(files[STATE])
        schedule.last_epoch = int(progress["schedule"])
    for group, rate in zip(optimizer.param_groups, schedule.lr_lambdas, strict=True):
        group["lr"] = group["initial_lr"] * rate(schedule.last_epoch)
    return progress


def load_weights(files: Files, model: RecognizerModel) -> None:
    """Put the packed weights into a model. Raises RunError when they are another model's, or damaged."""
    with _damage():
        saved = load(files[WEIGHTS])
    mine = _learned(model)
    shapes, wanted = ({(name, tuple(each.shape)) for name, each in some.items()} for some in (saved, mine))
    if odd := sorted(shapes ^ wanted):
        name, shape = odd[0]
        raise RunError(f"the checkpoint is of another model: {name} of shape {shape} stands in one of them only")
    with torch.no_grad():
        for name, each in mine.items():
            each.copy_(saved[name])


@contextmanager
def _damage() -> Iterator[None]:
    """Whatever a file that is no state of a training makes of reading it, as RunError."""
    try:
        yield
    except (SafetensorError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise RunError(
            f"the checkpoint is damaged ({type(error).__name__}: {error}): remove its epoch's folder: training "
            "goes on from what is left"
        ) from error


def _learned(model: RecognizerModel) -> dict[str, Tensor]:
    """What training changes: a frozen backbone is most of the bytes and none of the news."""
    return {name: each for name, each in model.named_parameters() if each.requires_grad}
