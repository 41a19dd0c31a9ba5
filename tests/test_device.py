"""Precision by device. GPUs are simulated by what torch says of them."""

import inspect

import pytest
import torch

from amia.device import copied_back, resolve_dtype
from amia.tuning import Tuning

GPU, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize("native", [True, False])
def test_bfloat16_only_where_the_gpu_has_it_and_does_not_imitate_it__with_a_simulated_gpu(
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
    assert Tuning.of(CPU, "auto") == Tuning()
    assert Tuning.of(CPU, True) == Tuning(compiled=True)


def test_a_gpu_gets_everything_but_a_graph_that_was_not_wanted() -> None:
    assert Tuning.of(GPU, "auto") == Tuning(compiled=True, channels_last=True, distinct=True)
    assert Tuning.of(GPU, False) == Tuning(compiled=False, channels_last=True, distinct=True)


def test_what_is_in_the_machines_memory_is_not_copied() -> None:
    tensors = [torch.rand(3), torch.rand(2)]
    hosts, wait = copied_back(tensors)
    wait()
    assert all(host is tensor for host, tensor in zip(hosts, tensors, strict=True))
