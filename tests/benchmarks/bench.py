"""What a benchmark gets to work with, and where it puts its results."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks.harness import Line

__all__ = ["Bench"]


@dataclass
class Bench:
    """Options and results of one process of the suite."""

    quick: bool = False
    """Only check that everything runs: less work, fewer rounds."""
    scale: bool = False
    """Run the lines that take long, for `make bench-scale`."""
    lines: list[Line] = field(default_factory=list)
    rates: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Rates by stage; see the description of the rates file in `README.md`."""
    plan: dict[str, Any] = field(default_factory=dict)
    """Rates of this machine for `amia plan`: a tree of `ray_jobs.settings.rates.Rates`."""

    def rounds(self, count: int) -> int:
        """Return `count`, or two for a quick run."""
        return 2 if self.quick else count

    def add(self, line: Line) -> None:
        """Keep a line, and print it to standard error."""
        self.lines.append(line)
        print(f"  {line.name}: {line.value:.3g} {line.unit} [{line.low:.3g}, {line.high:.3g}]", file=sys.stderr)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Create a folder that is removed afterwards."""
        with TemporaryDirectory(prefix="amia-bench-") as folder:
            yield Path(folder)

    def save(self, path: Path) -> None:
        """Write the results of this process as JSON."""
        tree = {"lines": [dataclasses.asdict(line) for line in self.lines], "rates": self.rates, "plan": self.plan}
        path.write_text(json.dumps(tree, indent=1))
