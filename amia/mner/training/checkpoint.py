"""Checkpoints of a training as files: safetensors and JSON, no pickle."""

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

__all__ = ["STATE", "CheckpointFiles", "load_weights", "pack_checkpoint", "unpack_checkpoint"]

CheckpointFiles = dict[str, bytes]
"""File name -> content."""

WEIGHTS, OPTIMIZER, RANDOM, STATE = "model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"


def pack_checkpoint(
    model: RecognizerModel,
    optimizer: AdamW,
    schedule: LambdaLR,
    dist_context: DistContext,
    progress: dict[str, Any],
) -> CheckpointFiles:
    """Serialize the state that a later process needs to continue with identical results. Every worker calls it.

    `progress` is the JSON-serializable state besides tensors, such as the reports so far.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    moments = {
        f"{names[id(parameter)]}:{key}": value.cpu().contiguous()
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }
    cpu_states = dist_context.all_gather(torch.get_rng_state())
    random_states = {f"cpu:{rank}": state for rank, state in enumerate(cpu_states)}
    if torch.cuda.is_available():
        cuda_states = dist_context.all_gather(torch.cuda.get_rng_state())
        random_states |= {f"cuda:{rank}": state for rank, state in enumerate(cuda_states)}
    trained = {name: parameter.detach().cpu().contiguous() for name, parameter in _trained_parameters(model).items()}
    return {
        WEIGHTS: save(trained),
        OPTIMIZER: save(moments),
        RANDOM: save(random_states),
        STATE: json.dumps({**progress, "schedule": schedule.last_epoch}).encode(),
    }


def unpack_checkpoint(
    files: CheckpointFiles,
    model: RecognizerModel,
    optimizer: AdamW,
    schedule: LambdaLR,
    dist_context: DistContext,
) -> dict[str, Any]:
    """Restore a packed state, and return its `progress`.

    If there are more workers than before, the new ones keep their current random state. Raises RunError if the
    checkpoint is of another model or damaged.
    """
    load_weights(files, model)
    parameters = dict(model.named_parameters())
    with _translate_damage():
        for name_and_key, value in load(files[OPTIMIZER]).items():
            name, _, key = name_and_key.rpartition(":")
            parameter = parameters[name]
            if key != "step" and value.shape != parameter.shape:
                raise ValueError(f"{name_and_key} of shape {tuple(value.shape)}")
            optimizer.state[parameter][key] = value if key == "step" else value.to(parameter.device)
        random_states = load(files[RANDOM])
        if (state := random_states.get(f"cpu:{dist_context.rank}")) is not None:
            torch.set_rng_state(state)
        if torch.cuda.is_available() and (state := random_states.get(f"cuda:{dist_context.rank}")) is not None:
            torch.cuda.set_rng_state(state)
        progress: dict[str, Any] = json.loads(files[STATE])
        schedule.last_epoch = int(progress["schedule"])
    for group, factor in zip(optimizer.param_groups, schedule.lr_lambdas, strict=True):
        group["lr"] = group["initial_lr"] * factor(schedule.last_epoch)
    return progress


def load_weights(files: CheckpointFiles, model: RecognizerModel) -> None:
    """Copy the packed weights to a model. Raises RunError if they are of another model or damaged."""
    with _translate_damage():
        saved = load(files[WEIGHTS])
    trained = _trained_parameters(model)
    saved_shapes, model_shapes = (
        {(name, tuple(tensor.shape)) for name, tensor in tensors.items()} for tensors in (saved, trained)
    )
    if differences := sorted(saved_shapes ^ model_shapes):
        name, shape = differences[0]
        raise RunError(f"the checkpoint is of another model: only one of them has {name} of shape {shape}")
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(saved[name])


@contextmanager
def _translate_damage() -> Iterator[None]:
    """Translate the errors of reading a damaged file to RunError."""
    try:
        yield
    except (SafetensorError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise RunError(
            f"the checkpoint is damaged ({type(error).__name__}: {error}): remove the folder of its epoch; training "
            "then resumes from the previous one"
        ) from error


def _trained_parameters(model: RecognizerModel) -> dict[str, Tensor]:
    """Return the parameters that training changes: not those of a frozen backbone, which are most of the bytes."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
