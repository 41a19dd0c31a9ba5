"""Where a model runs and in what precision."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch

from amia.errors import SettingsError
from amia.utils.config import Compile, Dtype
from amia.utils.oom import is_out_of_memory

__all__ = ["CompileWithFallback", "Dtype", "GpuOptions", "autocast", "copy_to_host", "resolve_device", "resolve_dtype"]


# MERGED FROM amia.accelerator: What makes a model faster on a GPU. It moves the last bits, so the CPU, whose bytes are promised, goes without.
# MERGED FROM amia.accelerator: `torch.compile` with a way back: a part that cannot be compiled here runs as it is, and it is told why.
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


def copy_to_host(tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], Callable[[], None]]:
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


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """Each can be had on any device; `of` says which are."""

    compiled: bool = False
    """`torch.compile`, one graph: a batch that is short is filled up."""
    channels_last: bool = False
    """Channels innermost in memory, as a GPU's convolutions want them."""
    distinct: bool = False
    """Equal texts of one call are encoded once, whatever batch they are in."""

    @classmethod
    def of(cls, device: torch.device, compiled: Compile) -> Self:
        """All of it on a GPU and none on the CPU; compiled as asked."""
        gpu = device.type == "cuda"
        return cls(compiled=gpu if compiled == "auto" else compiled, channels_last=gpu, distinct=gpu)

    def laid_out(self, *modules: torch.nn.Module) -> None:
        """Lay out the weights of convolutions; the pixels between them follow."""
        if self.channels_last:
            for module in modules:
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch lacks this one


BACKEND = "inductor"
"""Of `torch.compile`: writes the GPU's kernels."""


class CompileWithFallback:
    """Parts of a model by name, each a graph of fixed shapes that is made when the part is first called."""

    def __init__(self, parts: Mapping[str, torch.nn.Module]) -> None:
        self.eager: dict[str, str] = {}
        """Parts that run uncompiled though they were to be compiled, and what the compiler said."""
        for name, part in parts.items():
            part.compile(backend=BACKEND, dynamic=False)
            self._guard(name, part)

    def _guard(self, name: str, part: torch.nn.Module) -> None:
        compiled: Any = part._compiled_call_impl  # what `compile` sets; torch has no public undoing

        def called(*given: Any, **named: Any) -> Any:
            try:
                return compiled(*given, **named)
            except Exception as error:  # compilers fail in every way there is
                if is_out_of_memory(error):
                    raise
                said = " ".join(line.strip() for line in str(error).strip().splitlines()[:2])  # whose, and what
                reason = f"{type(error).__name__}: {said}".removesuffix(": ")
            done = part._call_impl(*given, **named)  # type: ignore[no-untyped-call]  # a model's own fault comes again here
            part._compiled_call_impl = None
            self.eager[name] = reason
            return done

        part._compiled_call_impl = called
