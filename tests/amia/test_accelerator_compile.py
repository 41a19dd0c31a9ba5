"""Compiled parts, and the way back to eager. Where a compiler is simulated, a backend of torch's own stands for it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from amia import accelerator as compiling
from amia.accelerator import CompileWithFallback


class Net(torch.nn.Module):
    """Two layers, and a fault of its own when asked for it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)
        self.broken = False

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        if self.broken:
            raise KeyError("the model's own")
        return self.layer(rows).relu()


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Takes another compiler."""
    torch.compiler.reset()
    return lambda other: monkeypatch.setattr(compiling, "BACKEND", other)


@pytest.mark.simulated("compiler")
def test_compiled_gives_what_eager_gives(backend: Callable[[Any], None]) -> None:
    graphs: list[tuple[int, ...]] = []

    def counting(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        graphs.append(tuple(next(each for each in inputs if each.dim() == 2 and each.shape[0] != 4).shape))
        return graph.forward

    backend(counting)
    net, rows = Net(), torch.randn(3, 4)
    right = net(rows)
    compiled = CompileWithFallback({"net": net})
    for _ in range(3):
        assert torch.equal(net(rows), right)
    assert graphs == [(3, 4)], "one shape, one graph"
    assert compiled.eager == {}


@pytest.mark.simulated("compiler")
def test_what_cannot_be_compiled_runs_as_it_is_and_says_why(
    backend: Callable[[Any], None],
) -> None:
    tried: list[int] = []

    def none(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        tried.append(1)
        raise RuntimeError("no working Triton here\nand more lines")

    backend(none)
    net, other, rows = Net(), Net(), torch.randn(3, 4)
    right = net(rows)
    compiled = CompileWithFallback({"net": net, "other": other})
    assert torch.equal(net(rows), right)
    assert torch.equal(net(rows), right)
    assert tried == [1], "the compiler is not asked again"
    assert list(compiled.eager) == ["net"], "the other part was not called"
    assert "no working Triton here" in compiled.eager["net"]
    assert "\n" not in compiled.eager["net"]


@pytest.mark.simulated("compiler")
def test_a_fault_of_the_models_own_is_raised_and_not_blamed_on_the_compiler(
    backend: Callable[[Any], None],
) -> None:
    backend("eager")
    net = Net()
    compiled = CompileWithFallback({"net": net})
    net.broken = True
    with pytest.raises(KeyError, match="the model's own"):
        net(torch.randn(3, 4))
    assert compiled.eager == {}


@pytest.mark.simulated("device")
def test_memory_that_runs_out_is_no_fault_of_the_compiler(
    backend: Callable[[Any], None],
) -> None:
    def full(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        def run(*_: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

        return run

    backend(full)
    net = Net()
    compiled = CompileWithFallback({"net": net})
    with pytest.raises(torch.OutOfMemoryError):
        net(torch.randn(3, 4))
    assert compiled.eager == {}


def test_without_parts_nothing_is_compiled() -> None:
    assert CompileWithFallback({}).eager == {}
