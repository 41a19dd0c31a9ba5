"""Measurement of the benchmark's lines: two sides that do equal work, by turns, in one process.

Absolute times mean little on a shared machine. Both sides first run once to warm up (the time to compile and load is
reported separately), and their outputs are compared: sides that do different work get no ratio. Then they take turns,
each often enough to fill a slice of time. The value of a line is the median of the ratios of all rounds; the smallest
and the largest are kept. The processor time of this process is recorded as well, since other load on the machine
affects it less.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Any, Generic, TypeVar

__all__ = ["Line", "Side", "Sides", "compare", "figure"]

Output = TypeVar("Output")


@dataclass(frozen=True)
class Side(Generic[Output]):
    """One of two implementations of the same work."""

    name: str
    run: Callable[[], Any]
    """Do the work once."""
    to_output: Callable[[Any], Output] = lambda result: result
    """Convert the result of `run` to the output that is compared. Called once and not measured."""
    reset: Callable[[], object] = lambda: None
    """Undo the work before the next call. Not measured."""


@dataclass
class Line:
    """One line of the table."""

    name: str
    value: float
    unit: str
    """`x` for a speedup over the other side; otherwise a unit."""
    low: float
    high: float
    aim: float | None = None
    less: bool = False
    """Whether the aim is an upper bound instead of a lower one."""
    ours: str = ""
    theirs: str = ""
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    """Further values in the JSON: seconds of both sides, rounds, ratio by processor time, first calls."""


@dataclass(frozen=True)
class Sides:
    """A line, and the seconds per call of both sides, from which rates are computed."""

    line: Line
    ours_s: float
    theirs_s: float


def compare(
    name: str,
    ours: Side[Output],
    theirs: Side[Output],
    check_equal: Callable[[Output, Output], str],
    *,
    aim: float | None = None,
    rounds: int = 5,
    slice_s: float = 0.5,
    in_other_processes: bool = False,
    note: str = "",
) -> Sides:
    """Measure the speedup of `ours` over `theirs`.

    `check_equal` compares an output of each and describes in a few words how equal they are; it raises AssertionError
    if the two did different work. `in_other_processes`: the processor time of this process does not cover the work.
    """
    (our_first, our_output), (their_first, their_output) = _first_call(ours), _first_call(theirs)
    equal = check_equal(our_output, their_output)
    del our_output, their_output
    calls = {
        id(side): _calls_per_slice(side, first, slice_s) for side, first in ((ours, our_first), (theirs, their_first))
    }
    walls: list[tuple[float, float]] = []
    processor: list[tuple[float, float]] = []
    for number in range(rounds):
        order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        spent = {id(side): _measure_slice(side, calls[id(side)]) for side in order}
        walls.append((spent[id(ours)][0], spent[id(theirs)][0]))
        processor.append((spent[id(ours)][1], spent[id(theirs)][1]))
    ratios = [b / a for a, b in walls]
    ours_s, theirs_s = (statistics.median(seconds) for seconds in zip(*walls, strict=True))
    details = {
        "rounds": rounds,
        "ratios": ratios,
        "ours_s": ours_s,
        "theirs_s": theirs_s,
        "processor_ratio": None if in_other_processes else statistics.median(b / a for a, b in processor),
        "first_call_s": {"ours": our_first, "theirs": their_first},
        "equal": equal,
    }
    line = Line(
        name,
        statistics.median(ratios),
        "x",
        min(ratios),
        max(ratios),
        aim,
        ours=ours.name,
        theirs=theirs.name,
        note=note,
        details=details,
    )
    return Sides(line, ours_s, theirs_s)


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    aim: float | None = None,
    less: bool = False,
    note: str = "",
    **details: Any,
) -> Line:
    """Return a line with a single figure instead of a ratio."""
    return Line(name, value, unit, value, value, aim, less, note=note, details=details)


def _first_call(side: Side[Output]) -> tuple[float, Output]:
    """Return the seconds of the first call, which loads libraries and compiles graphs, and its output."""
    start = perf_counter()
    result = side.run()
    _synchronize()
    seconds = perf_counter() - start
    output = side.to_output(result)
    side.reset()
    return seconds, output


def _calls_per_slice(side: Side[Output], first: float, slice_s: float) -> int:
    """Return how often the side runs in one slice. `first`: seconds of its first call."""
    return 1 if first > 10 * slice_s else max(1, round(slice_s / max(_measure_slice(side, 1)[0], 1e-9)))


def _measure_slice(side: Side[Output], calls: int) -> tuple[float, float]:
    """Return the seconds per call by the clock (of the GPU, if there is one) and by processor time."""
    wall = processor = 0.0
    for _ in range(calls):
        start, processor_start = _start_clock(), process_time()
        side.run()
        wall += _seconds_since(start)
        processor += process_time() - processor_start
        side.reset()
    return wall / calls, processor / calls


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _synchronize() -> None:
    if _has_gpu():
        import torch

        torch.cuda.synchronize()


def _start_clock() -> Any:
    """Return the current time: an event in the queue of the idle GPU if there is one."""
    if not _has_gpu():
        return perf_counter()
    import torch

    torch.cuda.synchronize()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _seconds_since(start: Any) -> float:
    if isinstance(start, float):
        return perf_counter() - start
    import torch

    event = torch.cuda.Event(enable_timing=True)
    event.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(event)) / 1000
