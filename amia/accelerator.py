"""Device, precision and GPU options of a model.

The GPU options change the last bits of results, so the CPU, whose results are reproducible byte by byte, does without.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch

from amia.errors import SettingsError
from amia.utils.config import Compile, Dtype
from amia.utils.oom import is_out_of_memory

__all__ = ["CompileWithFallback", "GpuOptions", "autocast", "copy_to_host", "resolve_device", "resolve_dtype"]

BACKEND = "inductor"
"""Backend of `torch.compile`, which generates GPU kernels."""


def resolve_device(name: str) -> torch.device:
    """Return the device called `name`; `auto` is the GPU if torch finds one, else the CPU.

    Raises SettingsError for a name that torch does not know and for a GPU that does not exist.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SettingsError(f"device {name!r} is unknown: write auto, cpu, cuda or cuda:0") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise SettingsError(f"device {name!r}: torch finds {count} GPUs here; device=auto uses what is available")
    return device


def resolve_dtype(name: Dtype, device: torch.device, on_gpu: torch.dtype) -> torch.dtype:
    """Return the precision called `name`; `auto` is float32 on the CPU, where half precision is many times slower.

    On a GPU `auto` is `on_gpu`, but float16 if that is bfloat16 and the GPU does not support it natively: GPUs before
    Ampere emulate bfloat16 many times slower, which torch counts as support by default.
    """
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    if device.type != "cuda":
        return torch.float32
    if on_gpu is torch.bfloat16 and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return on_gpu


def autocast(device: torch.device, name: Dtype) -> torch.autocast:
    """Return a context whose forward passes run in the precision called `name`, with float32 weights.

    `auto` on a GPU is bfloat16 if supported.
    """
    dtype = resolve_dtype(name, device, torch.bfloat16)
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)


def copy_to_host(tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], Callable[[], None]]:
    """Start copying tensors to host memory; return the copies and a function that waits until they can be read.

    Copies from a GPU run in a separate CUDA stream, concurrently with later computations. Tensors on the CPU are
    returned as they are.
    """
    if not any(tensor.is_cuda for tensor in tensors):
        return list(tensors), lambda: None
    # Only copies to pinned memory are asynchronous.
    hosts = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in tensors]
    device = tensors[0].device
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch ships it untyped
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for host, tensor in zip(hosts, tensors, strict=True):
            host.copy_(tensor, non_blocking=True)
            tensor.record_stream(stream)  # prevents reuse of its memory by the next batch before it is read
        copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # untyped as well
        copied.record(stream)
    return hosts, copied.synchronize


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """Options that make a model faster on a GPU. `for_device` selects them."""

    compiled: bool = False
    """Use `torch.compile` with one graph of fixed shapes; a short batch is padded."""
    channels_last: bool = False
    """Use the channels-last memory format, which convolutions on a GPU prefer."""
    dedupe_prompts: bool = False
    """Encode equal texts of one call once, whichever batch they are in."""

    @classmethod
    def for_device(cls, device: torch.device, compiled: Compile) -> Self:
        """Return all options on a GPU and none on the CPU, except that `compiled` may request or forbid compilation."""
        gpu = device.type == "cuda"
        return cls(compiled=gpu if compiled == "auto" else compiled, channels_last=gpu, dedupe_prompts=gpu)

    def to_channels_last(self, *modules: torch.nn.Module) -> None:
        """Convert the weights of convolutions to channels-last, if enabled; activations follow the weights."""
        if self.channels_last:
            for module in modules:
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch lacks this overload


class CompileWithFallback:
    """Compiles modules, and runs those uncompiled that `torch.compile` cannot handle.

    Each module becomes a graph of fixed shapes, which is compiled at its first call.
    """

    def __init__(self, modules: Mapping[str, torch.nn.Module]) -> None:
        self.uncompiled: dict[str, str] = {}
        """Modules that failed to compile and run uncompiled, with the compiler's error."""
        for name, module in modules.items():
            module.compile(backend=BACKEND, dynamic=False)
            self._add_fallback(name, module)

    def _add_fallback(self, name: str, module: torch.nn.Module) -> None:
        compiled: Any = module._compiled_call_impl  # set by `compile`; torch has no public way to undo it

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return compiled(*args, **kwargs)
            except Exception as error:  # compilers fail in many ways
                if is_out_of_memory(error):
                    raise
                message = " ".join(line.strip() for line in str(error).strip().splitlines()[:2])
                reason = f"{type(error).__name__}: {message}".removesuffix(": ")
            # An error of the model itself is raised again here, and the module stays compiled.
            result = module._call_impl(*args, **kwargs)  # type: ignore[no-untyped-call]  # torch ships it untyped
            module._compiled_call_impl = None
            self.uncompiled[name] = reason
            return result

        module._compiled_call_impl = call
