"""`amia report` on a large run: bytes of the page, seconds and memory to make it, seconds to open it.

    python tests/benchmarks/bench_report.py [--posts 20000] [--size 512] [--pool 300] [--run DIR]

The run is written directly, from a few hundred drawn and textured images, without running a model; `--run` keeps it,
and takes one that stands there. Bars: at 20,000 posts of 512 pixels a page below 15 MB that opens in less than 2 s.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "ray_jobs"))
sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from ray_jobs.storage.store import Store
from tests.helpers.browser import CHROMIUM, DRIVER, browser
from tests.helpers.written_runs import Written, write_model, write_predictions, write_run

MOST_BYTES, MOST_SECONDS = 15e6, 2.0
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pool", type=int, default=300)
    parser.add_argument("--run", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = chosen.run or Path(scratch) / "run"
        if not run.exists():
            write(run, chosen.posts, chosen.size, chosen.pool)
        held = sum(file.stat().st_size for file in run.rglob("*") if file.is_file())
        print(f"run: {chosen.posts:,} posts at {chosen.size} pixels, {held / 1e9:.2f} GB")
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ray_jobs", "report", str(run)], check=True)
        seconds = time.perf_counter() - begun
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = (run / "report.html").stat().st_size
        cpu = used.ru_utime + used.ru_stime
        print(f"made in {seconds:.1f} s, {cpu:.1f} s of CPU (imports too), peak memory {used.ru_maxrss / 1024:,.0f} MB")
        print(f"page: {size / 1e6:.2f} MB (bar {MOST_BYTES / 1e6:g} MB) {'ok' if size < MOST_BYTES else 'MISSED'}")
        if CHROMIUM is None or DRIVER is None:
            print("no Chromium with its driver here: not opened")
            return
        opened = sorted(open_times((run / "report.html").as_uri()))
        middle = opened[len(opened) // 2]
        listed = ", ".join(f"{each:.2f}" for each in opened)
        print(f"opens in {middle:.2f} s, median of {listed} (bar {MOST_SECONDS:g} s)", end=" ")
        print("ok" if middle < MOST_SECONDS else "MISSED")


def write(run: Path, posts: int, size: int, pool: int) -> None:
    written = write_run(Written(store=Store(run), posts=posts, size=size, pool=pool, per_shard=512))
    for seed in range(3):
        for place, arm in enumerate(("original", "adaptive")):
            name = f"bert-crf-{arm}-seed{seed}"
            f1 = [0.5, 0.7, 0.72 + place / 50, 0.71, 0.73 + seed / 100]
            write_model(written.store, name, arm=arm, seed=seed, f1=f1)
            write_predictions(written, name, arm, wrong=0.3, seed=10 * place + seed)


def open_times(url: str) -> list[float]:
    """Seconds from the start of the navigation to the end of the load event."""
    script = "return performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
    times = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, browser(Path(profile)) as tab:
        tab.see(1600, 1200)
        for _ in range(ROUNDS):
            tab.open(url)
            times.append(float(tab.run(script)))
    return times


if __name__ == "__main__":
    main()
