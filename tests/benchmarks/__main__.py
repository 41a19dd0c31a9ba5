"""The benchmark suite: `make bench`, or python -m tests.benchmarks [--only score,fit] [--quick] [--out DIR].

Each part runs in its own process. Prints a Markdown table, and writes the table, all measurements (bench.json) and the
rates of the stages (rates.json) to DIR.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from amia.utils.config import deep_merge
from tests.benchmarks.environment import machine, versions
from tests.benchmarks.table import markdown, rates_file

PARTS = ("embed", "synthesize", "mix", "score", "fit", "ingest", "train", "job")
SCALE_PARTS = ("job",)
"""Parts that have lines for `--scale`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PART,...", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="check that everything runs; the numbers mean nothing")
    parser.add_argument("--scale", action="store_true", help="the lines that take long: the job at 20,000 posts")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for the files (runs/bench)")
    args = parser.parse_args()
    parts = args.only.split(",") if args.only else list(SCALE_PARTS if args.scale else PARTS)
    if unknown := [name for name in parts if name not in PARTS]:
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(PARTS)}")
    args.out.mkdir(parents=True, exist_ok=True)
    machine_info, package_versions = machine(), versions()
    lines, rates, plan, failed = [], {}, {}, []
    for name in parts:
        print(name, file=sys.stderr, flush=True)
        started = time.monotonic()
        file = args.out / f"{name}.json"
        flags = [*(["--quick"] if args.quick else []), *(["--scale"] if args.scale else [])]
        command = [sys.executable, "-m", "tests.benchmarks.run_part", name, str(file), *flags]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        if file.exists():
            result = json.loads(file.read_text())
            file.unlink()
            lines += result["lines"]
            rates |= result["rates"]
            plan = deep_merge(plan, result["plan"])
        print(f"  {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    table = markdown(lines, failed, machine_info, package_versions)
    measurements = {"machine": machine_info, "versions": package_versions, "lines": lines, "failed": failed}
    (args.out / "bench.json").write_text(json.dumps(measurements, indent=1))
    (args.out / "bench.md").write_text(table + "\n")
    rates_tree = rates_file(rates, plan, machine_info, package_versions)
    (args.out / "rates.json").write_text(json.dumps(rates_tree, indent=1))
    print(table)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
