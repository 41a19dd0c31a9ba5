"""Compiled modules and their fallback. Simulated compilers are backends of torch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from amia import accelerator
from amia.accelerator import CompileWithFallback

Graph = Callable[..., Any]


class Net(torch.nn.Module):
    """A linear layer, with an error on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)
        self.broken = False

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        if self.broken:
            raise KeyError("error of the model")
        return self.layer(rows).relu()


@pytest.fixture
def set_backend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Function that replaces the compiler."""
    torch.compiler.reset()
    return lambda backend: monkeypatch.setattr(accelerator, "BACKEND", backend)


@pytest.mark.simulated("compiler")
def test_compiled_module_equals_the_uncompiled_one(set_backend: Callable[[Any], None]) -> None:
    shapes: list[tuple[int, ...]] = []

    def record_shape(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Graph:
        shapes.append(tuple(next(tensor for tensor in inputs if tensor.dim() == 2 and tensor.shape[0] != 4).shape))
        return graph.forward

    set_backend(record_shape)
    net, rows = Net(), torch.randn(3, 4)
    expected = net(rows)
    compiled = CompileWithFallback({"net": net})
    for _ in range(3):
        assert torch.equal(net(rows), expected)
    assert shapes == [(3, 4)], "one shape, one graph"
    assert compiled.uncompiled == {}


@pytest.mark.simulated("compiler")
def test_failed_compilation_falls_back_with_the_reason(set_backend: Callable[[Any], None]) -> None:
    attempts: list[int] = []

    def fail(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Graph:
        attempts.append(1)
        raise RuntimeError("no working Triton here\nand more lines")

    set_backend(fail)
    net, other, rows = Net(), Net(), torch.randn(3, 4)
    expected = net(rows)
    compiled = CompileWithFallback({"net": net, "other": other})
    assert torch.equal(net(rows), expected)
    assert torch.equal(net(rows), expected)
    assert attempts == [1], "the compiler is not called again"
    assert list(compiled.uncompiled) == ["net"], "the other module was not called"
    assert "no working Triton here" in compiled.uncompiled["net"]
    assert "\n" not in compiled.uncompiled["net"]


@pytest.mark.simulated("compiler")
def test_model_error_is_not_a_compiler_error(set_backend: Callable[[Any], None]) -> None:
    set_backend("eager")
    net = Net()
    compiled = CompileWithFallback({"net": net})
    net.broken = True
    with pytest.raises(KeyError, match="error of the model"):
        net(torch.randn(3, 4))
    assert compiled.uncompiled == {}


@pytest.mark.simulated("device")
def test_out_of_memory_is_not_a_compiler_error(set_backend: Callable[[Any], None]) -> None:
    def compile_to_oom(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Graph:
        def run(*_: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

        return run

    set_backend(compile_to_oom)
    net = Net()
    compiled = CompileWithFallback({"net": net})
    with pytest.raises(torch.OutOfMemoryError):
        net(torch.randn(3, 4))
    assert compiled.uncompiled == {}


def test_nothing_to_compile() -> None:
    assert CompileWithFallback({}).uncompiled == {}
