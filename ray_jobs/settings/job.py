"""Settings of a job: those of the method, and how it is distributed over a cluster."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from amia import settings as method
from amia.errors import SettingsError
from amia.mner.settings import PredictionSettings, RecognizerSettings
from amia.mner.training.settings import TrainingSettings
from amia.settings import MethodSettings
from amia.utils.config import StrictModel, build_settings, deep_merge, expand_dotted, iter_fields, read_tree

__all__ = [
    "PRESETS",
    "FetchPool",
    "Pool",
    "Pools",
    "Settings",
    "Workers",
    "load_settings",
    "parse_override",
    "settings_help",
]

PRESETS = Path(__file__).parent / "presets"


class Pool(StrictModel):
    """Actors of one stage."""

    min: int = Field(default=1, ge=1)
    """Actors that must run before the stage starts."""
    max: int = Field(default=1, ge=1)
    """Maximum number of actors while shards are waiting."""
    cpus: float = Field(default=1.0, ge=0)
    """CPU cores per actor; fractions share a core. Actors of `embed` and `predict` decode images on each core."""
    gpus: float = Field(default=0.0, ge=0)
    """GPUs per actor; 0.5 puts two actors on one GPU. On a local machine without a GPU, 0 is used instead."""
    lease: int = Field(default=4, ge=1)
    """Consecutive shards that an actor takes at a time; fewer if there are not enough for every actor."""
    threads: int | None = Field(default=None, ge=1)
    """Threads for the model's arithmetic in one actor; part of the stage's identity. Default: all cores."""

    @property
    def decoders(self) -> int:
        """Threads that decode images for the model in one actor."""
        return max(1, int(self.cpus))

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min={self.min} is greater than max={self.max}")
        return self


class FetchPool(Pool):
    """Actors that fetch images."""

    in_flight: int = Field(default=64, ge=1)
    """Images that one actor requests at the same time; a bucket answers after some 30 ms."""


class Pools(StrictModel):
    """Actors of each stage."""

    read: Pool = Pool(max=256, lease=1)
    """First pass of ingest: parts of the source into scratch."""
    sort: Pool = Pool(max=64, lease=4)
    """First pass of ingest: scratch in the order of the plan."""
    fetch: FetchPool = FetchPool(max=1024, cpus=0.5, lease=16)
    """Second pass of ingest: images into shards."""
    embed: Pool = Pool(max=64, gpus=1, cpus=3, lease=16)
    """Texts and images into CLIP vectors. Small GPU machines have four cores, hence three CPUs per actor."""
    score: Pool = Pool(max=64, cpus=0.5, lease=16)
    """Vectors into losses."""
    synthesize: Pool = Pool(max=1024, gpus=1, lease=4)
    """Texts into images."""
    mix: Pool = Pool(max=256, cpus=0.5, lease=4)
    """Originals and synthesized images into augmented ones."""
    predict: Pool = Pool(max=64, gpus=1, cpus=3, lease=16)
    """Augmented posts into entities."""
    export: Pool = Pool(max=64, cpus=0.5, lease=4)
    """Augmented posts into other layouts."""


class Workers(StrictModel):
    """Processes that train one recognizer together."""

    count: int = Field(default=1, ge=1)
    """Number of workers; each takes its share of every batch."""
    cpus: float = Field(default=1.0, gt=0)
    """CPU cores per worker; as many threads, at least two, decode the images of the next batches."""
    gpus: float = Field(default=1.0, ge=0)
    """GPUs per worker. On a local machine without a GPU, 0 is used instead."""
    max_failures: int = Field(default=3, ge=0)
    """Failures of workers before training stops; after each one it resumes from the last finished epoch."""
    trainings: int = Field(default=32, ge=1)
    """Trainings of an experiment that are submitted to a cluster at the same time. Those for which there is no room
    wait, and an autoscaling cluster adds machines for them. A single machine runs as many as it has room for."""
    feed: Literal["auto", "memory", "stream"] = "auto"
    """Hold the training posts in the memory of each worker, or stream them every epoch with Ray Data. auto: by
    `memory_mb`."""
    memory_mb: int = Field(default=2000, ge=1)
    """Size of the training shards, in MB, up to which `auto` holds them in memory."""

    @property
    def decoders(self) -> int:
        """Threads that decode images in one worker."""
        return max(2, int(self.cpus))


class SynthesizedSettings(StrictModel):
    """The synthesized images of a run, from which its arms are mixed."""

    keep: Literal["always", "until_mixed"] = "always"
    """How long `amia augment` keeps them. until_mixed: until all arms that use them are finished; the arms stay.
    Removed images can be made again, with the same bytes."""


class Settings(MethodSettings):
    """Settings of a job."""

    per_shard: int = Field(default=512, ge=1, le=65_536)
    """Posts per shard. Fixed when the corpus is ingested."""
    pools: Pools = Pools()
    """Actors of each stage."""
    synthesized: SynthesizedSettings = SynthesizedSettings()
    """The synthesized images of a run."""
    recognizer: RecognizerSettings = RecognizerSettings()
    """Architecture and encoders of a new recognizer."""
    training: TrainingSettings = TrainingSettings()
    """Training of a recognizer."""
    workers: Workers = Workers()
    """Processes that train it."""
    prediction: PredictionSettings = PredictionSettings()
    """Inference with a trained recognizer."""
    max_failed: float = Field(default=0.05, ge=0, le=1)
    """Share of posts that may fail (broken image, no synthesis) before the job exits with an error."""
    wait_for_gpus_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds to wait for the actors' machines. Default: 60, or 900 if the cluster reports that it autoscales, as
    managed clusters do. Clusters scaled by `ray up` or KubeRay do not report it, and need minutes to add machines."""
    stall_s: float = Field(default=1800.0, gt=0, allow_inf_nan=False)
    """Seconds without progress at a shard after which its process is ended and the shard runs again; twenty times the
    process's slowest shard, if that is longer."""
    bucket_mb: int = Field(default=128, ge=1)
    """Target size, in MB, of the scratch buckets that ingest sorts posts into."""
    split_mb: int = Field(default=64, ge=1)
    """Size, in MB, of the parts of the source that ingest reads side by side. It does not change the result."""


def load_settings(config: str | Path | Mapping[str, Any] = "default", overrides: Sequence[str] = ()) -> Settings:
    """Load settings from a preset, a YAML file or a tree, and apply `name=value` overrides of the command line.

    Raises SettingsError for an unknown preset or setting, with the nearest name, and for a value out of range.
    """
    tree = dict(config) if isinstance(config, Mapping) else read_tree(config, [method.PRESETS, PRESETS])
    for text in overrides:
        tree = deep_merge(tree, parse_override(text))
    return build_settings(Settings, tree)


def parse_override(text: str) -> dict[str, Any]:
    """Parse `triplet.margin=0.2` into a tree of settings. Raises SettingsError if it is not `name=value`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"{text!r} is not a setting: write name=value, for example triplet.margin=0.2")
    try:
        return expand_dotted(name, yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise SettingsError(f"{text!r}: the value is not valid YAML: {error}") from error


def settings_help(kind: type[StrictModel] = Settings, head: str = "Settings (NAME=VALUE, or in a YAML file):") -> str:
    """Return every setting of a tree with its default and its help text, for the end of `--help`."""
    lines = ["\b", head]
    shown_help: set[str] = set()
    for field in iter_fields(kind):
        lines.append(f"  {field.name} = {_format_value(field.default)}")
        # The settings of all pools have the same meaning.
        if not (field.name.startswith("pools.") and field.help in shown_help):
            lines += [f"      {line}" for line in textwrap.wrap(field.help, 70)]
        shown_help.add(field.help)
    return "\n".join(lines)


def _format_value(default: Any) -> str:
    """Return a default as it is written in YAML."""
    if isinstance(default, tuple):
        return f"[{', '.join(map(_format_value, default))}]"
    return "none" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
