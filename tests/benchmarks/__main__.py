"""The benchmark suite: `make bench`, or python -m tests.benchmarks [--only score,fit] [--quick] [--out DIR].

Each part runs in a process of its own. Leaves a Markdown table on standard output, and in DIR the table, everything
that was measured (bench.json) and the rates of the stages (rates.json).
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from amia.utils.config import deep_merge
from tests.benchmarks.facts import machine, versions
from tests.benchmarks.table import markdown, rates_file

PARTS = ("embed", "synthesize", "mix", "score", "fit", "ingest", "train", "job")
SCALE = ("job",)
"""Parts that have lines for `--scale`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PART,...", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="a look at whether everything runs; its figures are none")
    parser.add_argument("--scale", action="store_true", help="the lines that take long: the job at 20,000 posts")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="where the files go (runs/bench)")
    chosen = parser.parse_args()
    asked = chosen.only.split(",") if chosen.only else list(SCALE if chosen.scale else PARTS)
    if unknown := [name for name in asked if name not in PARTS]:
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(PARTS)}")
    chosen.out.mkdir(parents=True, exist_ok=True)
    facts, numbers = machine(), versions()
    lines, rates, plan, failed = [], {}, {}, []
    for name in asked:
        print(name, file=sys.stderr, flush=True)
        begun = time.monotonic()
        file = chosen.out / f"{name}.json"
        flags = [*(["--quick"] if chosen.quick else []), *(["--scale"] if chosen.scale else [])]
        command = [sys.executable, "-m", "tests.benchmarks.one", name, str(file), *flags]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        if file.exists():
            found = json.loads(file.read_text())
            file.unlink()
            lines += found["lines"]
            rates |= found["rates"]
            plan = deep_merge(plan, found["plan"])
        print(f"  {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    table = markdown(lines, failed, facts, numbers)
    whole = {"machine": facts, "versions": numbers, "lines": lines, "failed": failed}
    (chosen.out / "bench.json").write_text(json.dumps(whole, indent=1))
    (chosen.out / "bench.md").write_text(table + "\n")
    (chosen.out / "rates.json").write_text(json.dumps(rates_file(rates, plan, facts, numbers), indent=1))
    print(table)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
