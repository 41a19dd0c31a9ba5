"""Run one part of the suite in its own process: python -m tests.benchmarks.run_part NAME FILE [--quick] [--scale]."""

import argparse
import importlib
from pathlib import Path

from transformers.utils import logging as transformers_logging

from ray_jobs.runtime.ray_log_filter import without_false_alarm
from tests.benchmarks.bench import Bench


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("file", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scale", action="store_true")
    args = parser.parse_args()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    bench = Bench(quick=args.quick, scale=args.scale)
    try:
        with without_false_alarm():
            importlib.import_module(f"tests.benchmarks.{args.name}").run(bench)
    finally:
        bench.save(args.file)


if __name__ == "__main__":
    main()
