"""Read thousands of damaged images, damaged corpora and random rows with amia's readers and image decoder.

    python -m tests.benchmarks.bench_fuzz [--inputs 2000] [--seed 0] [--keep DIR]

Each input is read in its own process, limited to 10 s of CPU time and 900 MB. Every row must get exactly one status
(with a reason if it is bad), or the source must be rejected with one of amia's errors. Prints a table by kind. Anything
else (another exception, a dead process, an exceeded limit, a different result the second time) is listed below it, and
the exit code is 1. `--keep` saves such inputs in a folder.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.hostile.fuzz import Result, fuzz

HEAD = (
    "kind",
    "inputs",
    "refused",
    "rows",
    "ok",
    "no image",
    "bad image",
    "rejected",
    "slowest ms",
    "peak MB",
    "failures",
)


def to_cells(result: Result) -> tuple[str, ...]:
    counts = result.statuses
    images = sum(count for status, count in counts.items() if status.startswith("bad_image"))
    rows = counts.total() - counts["refused"]
    numbers = (counts["refused"], rows, counts["ok"], counts["no_image"], images, counts["rejected"])
    figures = (f"{result.slowest_ms:.0f}", f"{result.peak_mb:.0f}", str(len(result.failures)))
    return (result.kind, str(result.inputs), *map(str, numbers), *figures)


def sum_results(results: Sequence[Result]) -> Result:
    """Sum the results of all kinds."""
    return Result(
        "all",
        inputs=sum(result.inputs for result in results),
        statuses=sum((result.statuses for result in results), Counter()),
        slowest_ms=max(result.slowest_ms for result in results),
        peak_mb=max(result.peak_mb for result in results),
        failures=[failure for result in results for failure in result.failures],
    )


def print_row(cells: Sequence[str]) -> None:
    widths = (14, *(max(7, len(name) + 1) for name in HEAD[1:]))
    print(
        "".join(f"{cell:<{w}}" if w == widths[0] else f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True)),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the inputs that amia fails on")
    args = parser.parse_args()
    start = time.monotonic()
    results = []
    print_row(HEAD)
    for result in fuzz(args.inputs, args.seed, args.keep):
        results.append(result)
        print_row(to_cells(result))
    total = sum_results(results)
    print_row(to_cells(total))
    reasons = [f"{status} {count}" for status, count in total.statuses.most_common() if status.startswith("bad_image")]
    print(f"\n{', '.join(reasons)}\n{time.monotonic() - start:.0f} s, seed {args.seed}")
    for failure in total.failures:
        print(f"FAILED: {failure}")
    sys.exit(bool(total.failures))


if __name__ == "__main__":
    main()
