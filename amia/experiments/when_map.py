"""The map of when augmentation helps: gains in F1 by the share of mismatched images and the share of known names.

Its points are corpora of the demo world that differ in nothing else. `known` is the share of rare names that CLIP and
the generator know from their pretraining.

The map that ships with amia is `when_map.json` beside this file. After `amia experiment --config demo-when --run RUNS`,
it is written by

    python -m amia.experiments.when_map RUNS/*/experiments/demo-when/tables.json
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from amia.errors import RunError
from amia.experiments.match_shares import Share
from amia.experiments.table import Interval

__all__ = ["SHIPPED_MAP", "ArmScore", "Baseline", "MapPoint", "WhenMap", "read_shipped_map"]

SHIPPED_MAP = Path(__file__).with_name("when_map.json")

Baseline = Literal["original", "text"]
"""What an arm is compared with: the posts' own images, or no images."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArmScore(_Record):
    """Score of one arm at one point. F1 in percent, gains in percentage points with their 95 % intervals."""

    f1: float
    """Mean over the seeds."""
    f1_sd: float | None
    """Standard deviation over the seeds with n - 1; None for a single seed."""
    over_original: Interval | None
    """F1 minus that of the posts' own images; None for these themselves, or if they have no result."""
    over_text: Interval | None
    """F1 minus that of the same recognizer without images; None for itself, or if it has no result."""
    significant: tuple[str, ...] = ()
    """Which of the two gains, `over_original` and `over_text`, have p < 0.05 after Holm's adjustment."""


class MapPoint(_Record):
    """One corpus."""

    mismatched: float = Field(ge=0, le=1)
    """Share of the posts' own images that show something else, among all usable ones."""
    known: float = Field(ge=0, le=1)
    """Share of the rare names that CLIP and generator know."""
    posts: int
    """Test posts that were scored."""
    seeds: int
    """Trainings of each arm."""
    original: Share | None
    """Own images of all splits that match, by theta."""
    synthesized: Share | None
    """Synthesized images of all splits that match, by theta_V."""
    rejection_reason: str | None
    """Why the checks rejected the mixture behind theta, which was used all the same; None if they did not."""
    arms: Mapping[str, ArmScore]
    """By arm, in the order of the tables. An arm without results is missing."""


class WhenMap(_Record):
    """All points, one for every combination of the shares. Raises ValueError if one is missing or there twice."""

    recognizer: str
    notice: str | None
    """What the numbers were made with, if it limits what they mean."""
    points: tuple[MapPoint, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_grid(self) -> "WhenMap":
        expected = sorted((m, k) for m in self.mismatched for k in self.known)
        if sorted((point.mismatched, point.known) for point in self.points) != expected:
            raise ValueError("the points are not one for every combination of `mismatched` and `known`")
        return self

    @property
    def mismatched(self) -> list[float]:
        """Shares of mismatched images `[M]`, ascending."""
        return sorted({point.mismatched for point in self.points})

    @property
    def known(self) -> list[float]:
        """Shares of known names `[K]`, ascending."""
        return sorted({point.known for point in self.points})

    @property
    def arms(self) -> list[str]:
        """Arms with a result at any point."""
        return list(dict.fromkeys(arm for point in self.points for arm in point.arms))

    def grid(self, value: Callable[[MapPoint], float | None]) -> NDArray[np.float64]:
        """Return a value of every point `[M, K]`; nan for None."""
        points = {(point.mismatched, point.known): point for point in self.points}
        rows = [[value(points[mismatched, known]) for known in self.known] for mismatched in self.mismatched]
        return np.array(rows, np.float64)

    def gains(self, arm: str, over: Baseline) -> NDArray[np.float64]:
        """Return the gains of an arm over a baseline with their intervals, [3, M, K]; nan where there is none."""

        def value(point: MapPoint, part: int) -> float | None:
            gain = getattr(point.arms.get(arm), f"over_{over}", None)
            return None if gain is None else float(gain[part])

        return np.array([self.grid(partial(value, part=part)) for part in range(3)])


def read_shipped_map(file: Path = SHIPPED_MAP) -> WhenMap | None:
    """Read the map that ships with amia; None if this version has none. Raises RunError for an invalid file."""
    if not file.exists():
        return None
    try:
        return WhenMap.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise RunError(f"{file} holds no map of when augmentation helps: install amia again") from error


def ship_map(tables: Path, file: Path = SHIPPED_MAP) -> WhenMap:
    """Write the map in the `tables.json` of an experiment to the file that ships with amia.

    Raises RunError if there is none, or if it has points without results.
    """
    tree = json.loads(tables.read_bytes())
    if not tree.get("map"):
        raise RunError(f"{tables} holds no map: it is not from `amia experiment --config demo-when`")
    when = WhenMap.model_validate_json(json.dumps(tree["map"]))
    for point in when.points:
        if set(point.arms) != set(when.arms) or point.original is None or point.synthesized is None:
            where = f"mismatched={point.mismatched}, known={point.known}"
            raise RunError(f"{tables}: no results at {where}: finish the experiment first")
    file.write_text(when.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return when


def main(arguments: Sequence[str]) -> None:
    """Write the shipped map from the first of some files, which are copies of one."""
    when = ship_map(Path(arguments[0]))
    print(f"{len(when.points)} points -> {SHIPPED_MAP}")


if __name__ == "__main__":
    main(sys.argv[1:])
