"""Precision by device. GPUs are simulated by what torch says of them."""

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
def test_bfloat16_only_where_the_gpu_has_it_and_does_not_imitate_it(
    monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    assert "including_emulation" in inspect.signature(torch.cuda.is_bf16_supported).parameters

    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert resolve_dtype("auto", GPU, torch.bfloat16) is (torch.bfloat16 if native else torch.float16)
    assert resolve_dtype("auto", GPU, torch.float16) is torch.float16
    assert resolve_dtype("bfloat16", GPU, torch.float16) is torch.bfloat16


def test_the_cpu_computes_in_float32_and_plainly_unless_told() -> None:
    assert resolve_dtype("auto", CPU, torch.bfloat16) is torch.float32
    assert GpuOptions.of(CPU, "auto") == GpuOptions()
    assert GpuOptions.of(CPU, True) == GpuOptions(compiled=True)


def test_a_gpu_gets_everything_but_a_graph_that_was_not_wanted() -> None:
    assert GpuOptions.of(GPU, "auto") == GpuOptions(compiled=True, channels_last=True, distinct=True)
    assert GpuOptions.of(GPU, False) == GpuOptions(compiled=False, channels_last=True, distinct=True)


def test_what_is_in_the_machines_memory_is_not_copied() -> None:
    tensors = [torch.rand(3), torch.rand(2)]
    hosts, wait = copy_to_host(tensors)
    wait()
    assert all(host is tensor for host, tensor in zip(hosts, tensors, strict=True))


@pytest.mark.simulated("gpu")
def test_from_a_gpu_it_comes_in_a_queue_of_its_own_and_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is asked of torch, in order: nothing here can run it."""
    asked: list[tuple[Any, ...]] = []

    def note(*words: Any) -> Any:
        return lambda *given: asked.append((*words, *given))

    queue = SimpleNamespace(wait_stream=note("queue waits for"))
    event = SimpleNamespace(record=note("event recorded in"), synchronize=note("waited"))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: queue)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "the model's")
    monkeypatch.setattr(torch.cuda, "stream", lambda which: nullcontext(asked.append(("in", which))))
    monkeypatch.setattr(torch.cuda, "Event", lambda blocking: event)
    host = SimpleNamespace(copy_=lambda tensor, non_blocking: asked.append(("copied", tensor, non_blocking)))
    monkeypatch.setattr(torch, "empty", lambda shape, dtype, pin_memory: host if pin_memory else None)
    tensor: Any = SimpleNamespace(
        is_cuda=True, device="cuda:0", shape=(1,), dtype=torch.uint8, record_stream=note("kept for")
    )
    hosts, wait = copy_to_host([tensor])
    assert hosts == [host]
    assert asked == [
        ("queue waits for", "the model's"),
        ("in", queue),
        ("copied", tensor, True),
        ("kept for", queue),
        ("event recorded in", queue),
    ]
    wait()
    assert asked[-1] == ("waited",)
