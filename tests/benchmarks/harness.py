"""How every line of the benchmark is measured: two sides that do equal work, in turns, in one process.

Other people use the machine too, so no time is worth anything by itself. Both sides run once, unmeasured, to warm up
(what is compiled or loaded then is told apart), and their outputs are compared: sides that do not do the same work do
not get a ratio. Then they take turns, each as often as a slice of time needs, and a line is the median of the rounds'
ratios with their smallest and largest. Beside the wall clock stands the processor time of this process, which the
neighbors of a busy machine change less.
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
    """One of two ways to do the same work."""

    name: str
    run: Callable[[], Any]
    """Does the work once."""
    made: Callable[[Any], Output] = lambda done: done
    """From what `run` returned to what is compared; asked once and not measured."""
    between: Callable[[], object] = lambda: None
    """Puts everything back before the next time; not measured."""


@dataclass
class Line:
    """One line of the table."""

    name: str
    value: float
    unit: str
    """`x`: times as fast as the other side; else what it says."""
    low: float
    high: float
    aim: float | None = None
    less: bool = False
    """Whether the aim is at most, not at least."""
    ours: str = ""
    theirs: str = ""
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    """What the JSON holds beside: seconds of both sides, rounds, the ratio by processor time, first calls."""


@dataclass(frozen=True)
class Sides:
    """A line, and seconds a time of both sides, for whoever wants rates of it."""

    line: Line
    ours_s: float
    theirs_s: float


def compare(
    name: str,
    ours: Side[Output],
    theirs: Side[Output],
    same: Callable[[Output, Output], str],
    *,
    aim: float | None = None,
    rounds: int = 5,
    slice_s: float = 0.5,
    elsewhere: bool = False,
    note: str = "",
) -> Sides:
    """How many times as fast `ours` does what `theirs` does.

    `same` looks at an output of each and returns in a few words how equal they are; it raises AssertionError when the
    two did not do the same work. `elsewhere`: other processes do it, whose processor time is not seen here.
    """
    (our_first, made), (their_first, there) = _first(ours), _first(theirs)
    equal = same(made, there)
    del made, there
    times = {id(side): _times(side, first, slice_s) for side, first in ((ours, our_first), (theirs, their_first))}
    walls: list[tuple[float, float]] = []
    processor: list[tuple[float, float]] = []
    for number in range(rounds):
        order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        spent = {id(side): _slice(side, times[id(side)]) for side in order}
        walls.append((spent[id(ours)][0], spent[id(theirs)][0]))
        processor.append((spent[id(ours)][1], spent[id(theirs)][1]))
    ratios = [b / a for a, b in walls]
    ours_s, theirs_s = (statistics.median(each) for each in zip(*walls, strict=True))
    details = {
        "rounds": rounds,
        "ratios": ratios,
        "ours_s": ours_s,
        "theirs_s": theirs_s,
        "processor_ratio": None if elsewhere else statistics.median(b / a for a, b in processor),
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
    """A line that is no ratio of two sides."""
    return Line(name, value, unit, value, value, aim, less, note=note, details=details)


def _first(side: Side[Output]) -> tuple[float, Output]:
    """Seconds of the first call, where libraries are loaded and graphs compiled; and its output."""
    begun = perf_counter()
    done = side.run()
    _synchronize()
    first = perf_counter() - begun
    made = side.made(done)
    side.between()
    return first, made


def _times(side: Side[Output], first: float, slice_s: float) -> int:
    """How often the side runs in one slice: the first call tells it only of what is slow anyway."""
    return 1 if first > 10 * slice_s else max(1, round(slice_s / max(_slice(side, 1)[0], 1e-9)))


def _slice(side: Side[Output], times: int) -> tuple[float, float]:
    """Seconds a time by the clock (a GPU's own where there is one), and by this process' processor time."""
    wall = processor = 0.0
    for _ in range(times):
        begun, processor_begun = _start(), process_time()
        side.run()
        wall += _seconds_since(begun)
        processor += process_time() - processor_begun
        side.between()
    return wall / times, processor / times


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _synchronize() -> None:
    if _has_gpu():
        import torch

        torch.cuda.synchronize()


def _start() -> Any:
    """A point in time: an event in the GPU's own queue where there is a GPU, which is then idle."""
    if not _has_gpu():
        return perf_counter()
    import torch

    torch.cuda.synchronize()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _seconds_since(begun: Any) -> float:
    if isinstance(begun, float):
        return perf_counter() - begun
    import torch

    event = torch.cuda.Event(enable_timing=True)
    event.record()
    torch.cuda.synchronize()
    return float(begun.elapsed_time(event)) / 1000
