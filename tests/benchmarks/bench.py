"""What a line gets to work with, and where it leaves what it found."""

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
    """One process' share of the suite."""

    quick: bool = False
    """A look at whether everything runs: less work, fewer rounds."""
    scale: bool = False
    """The lines that take long, of `make bench-scale`."""
    lines: list[Line] = field(default_factory=list)
    rates: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By stage, what `README.md` says of the rates file."""
    plan: dict[str, Any] = field(default_factory=dict)
    """What `amia plan` takes for this machine: a tree of `ray_jobs.settings.rates.Rates`, over what ships."""

    def rounds(self, whole: int) -> int:
        """So many, or two where only a look is wanted."""
        return 2 if self.quick else whole

    def add(self, line: Line) -> None:
        """Keep a line, and tell the person who waits for it."""
        self.lines.append(line)
        print(f"  {line.name}: {line.value:.3g} {line.unit} [{line.low:.3g}, {line.high:.3g}]", file=sys.stderr)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder that is gone afterwards."""
        with TemporaryDirectory(prefix="amia-bench-") as folder:
            yield Path(folder)

    def save(self, path: Path) -> None:
        """What this process found, as JSON."""
        found = {"lines": [dataclasses.asdict(line) for line in self.lines], "rates": self.rates, "plan": self.plan}
        path.write_text(json.dumps(found, indent=1))
