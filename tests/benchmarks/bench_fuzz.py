"""Thousands of damaged images, damaged corpora and drawn rows through amia's readers and its decoding of images.

    python tests/benchmarks/bench_fuzz.py [--inputs 2000] [--seed 0] [--keep DIR]

Each input is read in a process of its own, which may take 10 s of CPU time and 900 MB. Every row of it has to end in
exactly one status (with a reason where it is bad), or the source has to be refused with amia's own error. A table by
kind comes out; anything else (another exception, a process that died, a limit that was passed, another answer the
second time) is named below it, and the exit code is then 1. `--keep` leaves such inputs in a folder.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

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
    "falls",
)


def row(result: Result) -> tuple[str, ...]:
    counts = result.statuses
    images = sum(count for status, count in counts.items() if status.startswith("bad_image"))
    rows = counts.total() - counts["refused"]
    numbers = (counts["refused"], rows, counts["ok"], counts["no_image"], images, counts["rejected"])
    figures = (f"{result.slowest_ms:.0f}", f"{result.peak_mb:.0f}", str(len(result.falls)))
    return (result.kind, str(result.inputs), *map(str, numbers), *figures)


def whole(results: Sequence[Result]) -> Result:
    """All kinds as one."""
    return Result(
        "all",
        inputs=sum(each.inputs for each in results),
        statuses=sum((each.statuses for each in results), Counter()),
        slowest_ms=max(each.slowest_ms for each in results),
        peak_mb=max(each.peak_mb for each in results),
        falls=[fall for each in results for fall in each.falls],
    )


def printed(cells: Sequence[str]) -> None:
    widths = (14, *(max(7, len(name) + 1) for name in HEAD[1:]))
    print(
        "".join(f"{cell:<{w}}" if w == widths[0] else f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True)),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that make amia fall")
    asked = parser.parse_args()
    began = time.monotonic()
    results = []
    printed(HEAD)
    for result in fuzz(asked.inputs, asked.seed, asked.keep):
        results.append(result)
        printed(row(result))
    sums = whole(results)
    printed(row(sums))
    reasons = [f"{status} {count}" for status, count in sums.statuses.most_common() if status.startswith("bad_image")]
    print(f"\n{', '.join(reasons)}\n{time.monotonic() - began:.0f} s, seed {asked.seed}")
    for fall in sums.falls:
        print(f"FELL: {fall}")
    sys.exit(bool(sums.falls))


if __name__ == "__main__":
    main()
