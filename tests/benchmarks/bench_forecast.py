"""Accuracy of `amia plan`: predictions are written to a file first, then compared with real runs.

    python -m tests.benchmarks.bench_forecast predict runs/bench/rates.json FILE [--posts 1000,4000,8000]
    python -m tests.benchmarks.bench_forecast run FILE

`predict` takes the rates that `make bench` measured on this machine, and predicts the total time of `amia ingest` and
`amia augment --config demo` on it. `run` runs both on as many demo posts, and prints and writes the measured times
beside the predictions. The aim is an error of at most 15 %.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from amia.demo import write_corpus
from ray_jobs.jobs.forecast import Machines, forecast
from ray_jobs.settings.job import load_settings
from ray_jobs.settings.rates import load_rates
from tests.benchmarks.environment import machine
from tests.benchmarks.job import run_job


def predict(rates: str, posts: list[int], file: Path) -> None:
    rate_settings, settings, power = load_rates(rates), load_settings("demo"), Machines(0, len(os.sched_getaffinity(0)))
    jobs = [
        {"posts": n, "foreseen_s": forecast(n, rate_settings, power, settings, ["adaptive"]).seconds} for n in posts
    ]
    file.write_text(json.dumps({"rates": rate_settings.model_dump(), "jobs": jobs}, indent=1) + "\n")


def run(file: Path) -> None:
    tree: dict[str, Any] = json.loads(file.read_text())
    print("| posts | predicted, s | measured, s | error | load before |\n|---|---|---|---|---|")
    for job in tree["jobs"]:
        load = machine()["load"]
        with tempfile.TemporaryDirectory() as folder:
            write_corpus(Path(folder, "corpus"), posts=job["posts"], missing=0, broken=0)
            job["took_s"] = sum(command.done for command in run_job(Path(folder, "corpus"), Path(folder, "run")))
        job |= {"error": job["foreseen_s"] / job["took_s"] - 1, "load": load}
        file.write_text(json.dumps(tree, indent=1) + "\n")
        cells = f"{job['posts']:,} | {job['foreseen_s']:.1f} | {job['took_s']:.1f} | {job['error']:+.1%} | {load}"
        print(f"| {cells} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["predict", "run"])
    parser.add_argument("files", nargs="+", help="RATES FILE, or FILE")
    parser.add_argument("--posts", default="1000,4000,8000")
    args = parser.parse_args()
    if args.verb == "predict":
        predict(args.files[0], [int(count) for count in args.posts.split(",")], Path(args.files[1]))
    else:
        run(Path(args.files[0]))


if __name__ == "__main__":
    main()
