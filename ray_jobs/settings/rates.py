"""Speed of the stages of a job, for `amia plan`: rates that ship with the package, or that `make bench` measured.

The rates of a shipped GPU are `presets/rates/NAME.yaml` over `cores.yaml`, the rates of CPU cores without models. Each
rate names its source and whether it was measured, published, or derived from a published figure.
"""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from amia.errors import SettingsError
from amia.utils.config import StrictModel, deep_merge
from ray_jobs.settings.job import PRESETS

__all__ = ["FIRST_PASS", "FOLDERS", "Rates", "StageRate", "load_rates", "shipped_rates"]

FOLDER = PRESETS / "rates"
CORES = "cores"
"""Rates of CPU cores without models: the base of the rates of every machine."""

FOLDERS = ("posts", "embeddings", "scores", "synthesized", "augmented")
"""Stages of `amia ingest` and `amia augment`, by the folder that each writes."""
FIRST_PASS = ("read", "sort")
"""Stages of the first pass of `amia ingest`, which write scratch."""

Seconds = Annotated[float, Field(ge=0)]


class StageRate(StrictModel):
    """Cost of one post in one stage."""

    cpu_s: Seconds
    """Seconds of one core."""
    gpu_s: Seconds = 0.0
    """Seconds of one GPU."""
    pace_s: Seconds | None = None
    """Seconds per post of one actor whose load, run and publish overlap. Default: see `pace`."""
    bytes: float = Field(default=0.0, ge=0)
    """Published bytes."""
    source: str
    """Origin: measured, published or derived, on which hardware, by whom."""

    def pace(self, loaders: int = 1) -> float:
        """Return the seconds per post of one actor that loads the input of a GPU with `loaders` threads."""
        if self.pace_s is not None:
            return self.pace_s
        return max(self.cpu_s / loaders, self.gpu_s) if self.gpu_s else self.cpu_s


class Rates(StrictModel):
    """Rates of a type of machine."""

    gpu: str | None = None
    """Name of its GPU, or None if models run on its cores."""
    cores_per_gpu: int | None = Field(default=None, ge=1)
    """CPU cores that usually come with one such GPU."""
    size: int = Field(ge=1)
    """Height and width of the images that `synthesized` and `augmented` were measured with."""
    stages: dict[str, StageRate]
    """Rates of `FIRST_PASS` by name, and of `FOLDERS` by folder."""
    shard_s: Seconds
    """CPU seconds of the driver per shard and stage."""
    command_s: Seconds
    """Seconds of a command outside of its executions: starting Python and Ray, fitting, accounting."""
    execution_s: Seconds
    """Seconds of an execution in which no shard is processed: its actors start, load models, and stop."""
    efficiency: float = Field(gt=0, le=1)
    """Share of the cores' time that the stages use while they run."""
    source: str
    """Origin of the last four values."""

    @property
    def synthesized_scores(self) -> StageRate:
        """Cost of scoring a synthesized image: at most that of embedding and scoring a post, which has a text too."""
        embed, score = self.stages["embeddings"], self.stages["scores"]
        return embed.model_copy(
            update={
                "cpu_s": embed.cpu_s + score.cpu_s,
                "pace_s": None if embed.pace_s is None else embed.pace_s + score.cpu_s,
                "bytes": embed.bytes / 2 + score.bytes,  # one vector instead of two
                "source": "derived: the sum of `embeddings` and `scores`",
            }
        )

    def at(self, size: int) -> "Rates":
        """Return the rates for another image size, scaled by the number of pixels: rough far from `self.size`."""
        pixels = (size / self.size) ** 2
        scaled = {
            name: rate.model_copy(
                update={
                    "cpu_s": rate.cpu_s * pixels,
                    "gpu_s": rate.gpu_s * pixels,
                    "pace_s": None if rate.pace_s is None else rate.pace_s * pixels,
                    "bytes": rate.bytes * pixels,
                }
            )
            for name, rate in self.stages.items()
            if name in ("synthesized", "augmented")
        }
        return self.model_copy(update={"size": size, "stages": self.stages | scaled})


def shipped_rates() -> list[str]:
    """Return the names of the machines whose rates ship with the package."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml") if file.stem != CORES)


def load_rates(kind: str) -> Rates:
    """Load shipped rates by name, or the `rates.json` of `make bench`: its key `plan` over the rates of cores.

    Raises SettingsError for an unknown name and for a file that holds no rates.
    """
    file = Path(kind)
    if kind not in shipped_rates() and file.suffix != ".json":
        raise SettingsError(
            f"no rates for {kind!r}: available are {', '.join(shipped_rates())}, and the rates.json that `make bench` "
            "writes"
        )
    cores = yaml.safe_load((FOLDER / f"{CORES}.yaml").read_text())
    machine = yaml.safe_load((FOLDER / f"{kind}.yaml").read_text()) if kind in shipped_rates() else _read_measured(file)
    try:
        rates = Rates.model_validate(deep_merge(cores, machine))
    except ValidationError as error:
        messages = [f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()]
        raise SettingsError(f"{kind} holds invalid rates: {'; '.join(messages)}") from None
    if missing := {*FIRST_PASS, *FOLDERS} - rates.stages.keys():
        raise SettingsError(f"{kind} lacks the rates of {', '.join(sorted(missing))}")
    return rates


def _read_measured(file: Path) -> dict[str, Any]:
    try:
        plan: dict[str, Any] = yaml.safe_load(file.read_text())["plan"]  # JSON is YAML
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error
    except (KeyError, TypeError) as error:
        raise SettingsError(
            f"{file} has no rates for `amia plan`: run `make bench` (its part `job`; on a GPU, its parts `embed` and "
            "`synthesize`)"
        ) from error
    return plan
