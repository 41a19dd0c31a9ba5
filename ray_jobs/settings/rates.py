"""How fast the stages of a job are, for `amia plan`: figures that ship, or those that `make bench` wrote.

A shipped GPU is `presets/rates/NAME.yaml` over `cores.yaml`, which says what CPU cores do beside it. Each figure names
its source, and whether it was measured, published, or derived from something published.
"""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from amia.errors import SettingsError
from amia.utils.config import StrictModel, deep_merge
from ray_jobs.settings.job import PRESETS

__all__ = ["FOLDERS", "Rates", "StageRate", "load_rates", "shipped"]

FOLDER = PRESETS / "rates"
CORES = "cores"
"""Rates of CPU cores alone, models left out: no kind of machine, but under every one."""

FOLDERS = ("posts", "embeddings", "scores", "synthesized", "augmented")
"""The stages of `amia ingest` and `amia augment`, by the folder that each writes."""

Seconds = Annotated[float, Field(ge=0)]


class StageRate(StrictModel):
    """What one post costs in one stage."""

    cpu_s: Seconds
    """Seconds of one core."""
    gpu_s: Seconds = 0.0
    """Seconds of one whole GPU."""
    pace_s: Seconds | None = None
    """Seconds from post to post of one actor, its three phases side by side. Default: see `pace`."""
    bytes: float = Field(default=0.0, ge=0)
    """Bytes that are published."""
    source: str
    """Where it comes from: measured, published or derived, on what, by whom."""

    def pace(self, loaders: int = 1) -> float:
        """Seconds from post to post of one actor, which loads with so many threads what a GPU computes on."""
        if self.pace_s is not None:
            return self.pace_s
        return max(self.cpu_s / loaders, self.gpu_s) if self.gpu_s else self.cpu_s


class Rates(StrictModel):
    """A kind of machine."""

    gpu: str | None = None
    """Name of its GPU, or None where models run on its cores."""
    cores_per_gpu: int | None = Field(default=None, ge=1)
    """CPU cores that usually come with a GPU of this kind."""
    size: int = Field(ge=1)
    """Pixels a side of the images that `synthesized` and `augmented` were measured with."""
    stages: dict[str, StageRate]
    """By folder, all of `FOLDERS`."""
    order_s: Seconds
    """Seconds a post of ingest's first pass, in one process."""
    shard_s: Seconds
    """CPU seconds of the driver for each shard of each stage."""
    command_s: Seconds
    """Seconds of one command before, between and after its executions: starting Python and Ray, fitting, accounting."""
    execution_s: Seconds
    """Seconds of one execution in which nothing streams: its actors start and load models, and end."""
    efficiency: float = Field(gt=0, le=1)
    """Share of the cores' time that reaches the stages while they stream."""
    source: str
    """Where the last five come from."""

    def at(self, size: int) -> "Rates":
        """For images of another size, what is paid by the pixel in proportion: rough, far from `self.size`."""
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


def shipped() -> list[str]:
    """Names of the kinds of machine whose rates ship."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml") if file.stem != CORES)


def load_rates(kind: str) -> Rates:
    """Rates by a shipped name, or from the `rates.json` that `make bench` wrote (its part `plan`, over `cores`).

    Raises SettingsError for an unknown name and for a file that is not one of rates.
    """
    file = Path(kind)
    if kind not in shipped() and file.suffix != ".json":
        raise SettingsError(
            f"no rates of {kind!r}: there are {', '.join(shipped())}; rates of your own are the rates.json that "
            "`make bench` writes"
        )
    cores = yaml.safe_load((FOLDER / f"{CORES}.yaml").read_text())
    own = yaml.safe_load((FOLDER / f"{kind}.yaml").read_text()) if kind in shipped() else _measured(file)
    try:
        rates = Rates.model_validate(deep_merge(cores, own))
    except ValidationError as error:
        told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise SettingsError(f"{kind} holds no rates: {'; '.join(told)}") from None
    if missing := set(FOLDERS) - rates.stages.keys():
        raise SettingsError(f"{kind}: no rate of {', '.join(sorted(missing))}")
    return rates


def _measured(file: Path) -> dict[str, Any]:
    try:
        whole = yaml.safe_load(file.read_text())  # JSON is YAML
        plan: dict[str, Any] = whole["plan"]
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error
    except (KeyError, TypeError) as error:
        raise SettingsError(
            f"{file} has no rates to plan with: run `make bench` (its parts `job`, or on a GPU embed and synthesize)"
        ) from error
    return plan
