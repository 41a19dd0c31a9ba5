"""`amia report` on a large run: size of the page, time and memory to create it, time to open it.

    python -m tests.benchmarks.bench_report [--posts 20000] [--size 512] [--pool 300] [--run DIR]

The run is written directly, from a few hundred textured images, without a model. `--run` keeps it, or uses an existing
one. Limits: at 20,000 posts of 512 pixels, the page is below 15 MB and opens in less than 2 s.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ray_jobs.storage.store import Store
from tests.helpers.browser import CHROMIUM, DRIVER, browser
from tests.helpers.written_runs import WrittenRun, write_model, write_predictions, write_run

MAX_BYTES, MAX_SECONDS = 15e6, 2.0
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pool", type=int, default=300)
    parser.add_argument("--run", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = args.run or Path(scratch) / "run"
        if not run.exists():
            write(run, args.posts, args.size, args.pool)
        run_bytes = sum(file.stat().st_size for file in run.rglob("*") if file.is_file())
        print(f"run: {args.posts:,} posts at {args.size} pixels, {run_bytes / 1e9:.2f} GB")
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ray_jobs", "report", str(run)], check=True)
        seconds = time.perf_counter() - start
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = (run / "report.html").stat().st_size
        cpu = usage.ru_utime + usage.ru_stime
        print(
            f"created in {seconds:.1f} s, {cpu:.1f} s of CPU (including imports), "
            f"peak memory {usage.ru_maxrss / 1024:,.0f} MB"
        )
        print(f"page: {size / 1e6:.2f} MB (limit {MAX_BYTES / 1e6:g} MB) {'ok' if size < MAX_BYTES else 'MISSED'}")
        if CHROMIUM is None or DRIVER is None:
            print("Chromium and its driver are not installed: page not opened")
            return
        seconds_to_open = sorted(open_times((run / "report.html").as_uri()))
        median = seconds_to_open[len(seconds_to_open) // 2]
        listed = ", ".join(f"{seconds:.2f}" for seconds in seconds_to_open)
        print(f"opens in {median:.2f} s, median of {listed} (limit {MAX_SECONDS:g} s)", end=" ")
        print("ok" if median < MAX_SECONDS else "MISSED")


def write(run: Path, posts: int, size: int, pool: int) -> None:
    written = write_run(WrittenRun(store=Store(run), posts=posts, size=size, pool=pool, per_shard=512))
    for seed in range(3):
        for index, arm in enumerate(("original", "adaptive")):
            name = f"bert-crf-{arm}-seed{seed}"
            f1 = [0.5, 0.7, 0.72 + index / 50, 0.71, 0.73 + seed / 100]
            write_model(written.store, name, arm=arm, seed=seed, f1=f1)
            write_predictions(written, name, arm, wrong=0.3, seed=10 * index + seed)


def open_times(url: str) -> list[float]:
    """Return the seconds from the start of the navigation to the end of the load event, per round."""
    script = "return performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
    times = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, browser(Path(profile)) as tab:
        tab.set_viewport(1600, 1200)
        for _ in range(ROUNDS):
            tab.open(url)
            times.append(float(tab.run(script)))
    return times


if __name__ == "__main__":
    main()
