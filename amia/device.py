"""Where a model runs and in what precision."""

from collections.abc import Callable, Sequence

import torch

from amia.errors import SettingsError
from amia.precision import Dtype

__all__ = ["Dtype", "autocast", "copied_back", "resolve_device", "resolve_dtype"]


def resolve_device(name: str) -> torch.device:
    """The device called `name`; `auto` is the GPU when torch sees one, else the CPU.

    Raises SettingsError for a name that torch does not know, and for a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SettingsError(f"device {name!r} is unknown: write auto, cpu, cuda or cuda:0") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        seen = torch.cuda.device_count()
        raise SettingsError(f"device {name!r}: torch sees {seen} GPUs here; device=auto takes what is there")
    return device


def resolve_dtype(name: Dtype, device: torch.device, on_gpu: torch.dtype) -> torch.dtype:
    """The precision called `name`; `auto` is float32 on the CPU (half precision is many times slower there).

    On a GPU `auto` is `on_gpu`, float16 where the GPU has no bfloat16 of its own: those before Ampere only imitate it,
    many times slower, and torch counts that as support unless told otherwise.
    """
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    if device.type != "cuda":
        return torch.float32
    if on_gpu is torch.bfloat16 and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return on_gpu


def autocast(device: torch.device, name: Dtype) -> torch.autocast:
    """A block whose forward passes run in the precision called `name`, over float32 weights; `auto` on a GPU is
    bfloat16 where it has that."""
    dtype = resolve_dtype(name, device, torch.bfloat16)
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)


def copied_back(tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], Callable[[], None]]:
    """Tensors in the machine's memory, to be read once the function that comes with them has returned.

    From a GPU they come in a queue of their own, beside whatever it computes next; on the CPU they are there already.
    """
    if not any(tensor.is_cuda for tensor in tensors):
        return list(tensors), lambda: None
    # Only pinned memory can be copied to while the program goes on.
    hosts = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in tensors]
    device = tensors[0].device
    queue = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch ships it untyped
    queue.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(queue):
        for host, tensor in zip(hosts, tensors, strict=True):
            host.copy_(tensor, non_blocking=True)
            tensor.record_stream(queue)  # else its memory might go to the next batch before it is read
        copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # likewise
        copied.record(queue)
    return hosts, copied.synchronize
