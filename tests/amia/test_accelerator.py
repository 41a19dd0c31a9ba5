"""Precision and options by device. GPUs are simulated through torch's queries."""

import inspect
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from amia.accelerator import GpuOptions, copy_to_host, resolve_dtype

GPU, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.simulated("gpu")
@pytest.mark.parametrize("native", [True, False])
def test_bfloat16_needs_native_support(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    assert "including_emulation" in inspect.signature(torch.cuda.is_bf16_supported).parameters

    def is_supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    assert resolve_dtype("auto", GPU, torch.bfloat16) is (torch.bfloat16 if native else torch.float16)
    assert resolve_dtype("auto", GPU, torch.float16) is torch.float16
    assert resolve_dtype("bfloat16", GPU, torch.float16) is torch.bfloat16


def test_cpu_defaults_to_float32_without_options() -> None:
    assert resolve_dtype("auto", CPU, torch.bfloat16) is torch.float32
    assert GpuOptions.for_device(CPU, "auto") == GpuOptions()
    assert GpuOptions.for_device(CPU, True) == GpuOptions(compiled=True)


def test_gpu_uses_all_options_unless_compilation_is_off() -> None:
    assert GpuOptions.for_device(GPU, "auto") == GpuOptions(compiled=True, channels_last=True, dedupe_prompts=True)
    assert GpuOptions.for_device(GPU, False) == GpuOptions(compiled=False, channels_last=True, dedupe_prompts=True)


def test_host_tensors_are_not_copied() -> None:
    tensors = [torch.rand(3), torch.rand(2)]
    hosts, wait = copy_to_host(tensors)
    wait()
    assert all(host is tensor for host, tensor in zip(hosts, tensors, strict=True))


@pytest.mark.simulated("gpu")
def test_gpu_tensors_are_copied_in_a_separate_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compares the calls of torch, in order, since no GPU can run them here."""
    calls: list[tuple[Any, ...]] = []

    def record(name: str) -> Any:
        return lambda *args: calls.append((name, *args))

    stream = SimpleNamespace(wait_stream=record("stream waits for"))
    event = SimpleNamespace(record=record("event recorded in"), synchronize=record("synchronized"))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "stream of the model")
    monkeypatch.setattr(torch.cuda, "stream", lambda entered: nullcontext(calls.append(("in", entered))))
    monkeypatch.setattr(torch.cuda, "Event", lambda blocking: event)
    host = SimpleNamespace(copy_=lambda tensor, non_blocking: calls.append(("copied", tensor, non_blocking)))
    monkeypatch.setattr(torch, "empty", lambda shape, dtype, pin_memory: host if pin_memory else None)
    tensor: Any = SimpleNamespace(
        is_cuda=True, device="cuda:0", shape=(1,), dtype=torch.uint8, record_stream=record("kept for")
    )
    hosts, wait = copy_to_host([tensor])
    assert hosts == [host]
    assert calls == [
        ("stream waits for", "stream of the model"),
        ("in", stream),
        ("copied", tensor, True),
        ("kept for", stream),
        ("event recorded in", stream),
    ]
    wait()
    assert calls[-1] == ("synchronized",)
