"""The job's settings: the method's tree, and how it is spread over machines."""

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

__all__ = ["PRESETS", "Pool", "Pools", "Settings", "Workers", "load_settings", "override", "settings_help"]

PRESETS = Path(__file__).parent / "presets"


class Pool(StrictModel):
    """The actors of one stage."""

    min: int = Field(default=1, ge=1)
    """Actors that must run before the stage begins."""
    max: int = Field(default=1, ge=1)
    """Actors that the stage may grow to while shards wait."""
    cpus: float = Field(default=1.0, ge=0)
    """CPU cores an actor takes; fractions share a core. Actors of `embed` and `predict` decode on each core."""
    gpus: float = Field(default=0.0, ge=0)
    """GPUs an actor takes; 0.5 puts two actors on one. On a machine of its own without a GPU, 0 is taken instead."""
    lease: int = Field(default=4, ge=1)
    """Consecutive shards an actor takes at a time; fewer are given out when there are not enough for every actor."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of the model's arithmetic in one actor; part of the stage's identity. Default: all cores."""

    @property
    def decoders(self) -> int:
        """Threads that decode images in one actor, where a model waits for them."""
        return max(1, int(self.cpus))

    @model_validator(mode="after")
    def _least_and_most(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min={self.min} is more than max={self.max}")
        return self


class Pools(StrictModel):
    """Where each stage runs."""

    fetch: Pool = Pool(max=64, cpus=0.5, lease=16)
    """Ingest's second pass: images into shards."""
    embed: Pool = Pool(max=64, gpus=1, cpus=3, lease=16)
    """Texts and images into CLIP vectors. The smallest machines with a GPU have four cores."""
    score: Pool = Pool(max=64, cpus=0.5, lease=16)
    """Vectors into losses."""
    synthesize: Pool = Pool(max=1024, gpus=1, lease=4)
    """Texts into images."""
    mix: Pool = Pool(max=256, cpus=0.5, lease=4)
    """Originals and synthesized images into augmented ones."""
    predict: Pool = Pool(max=64, gpus=1, cpus=3, lease=16)
    """Augmented posts into entities."""
    export: Pool = Pool(max=64, cpus=0.5, lease=4)
    """Augmented posts into other people's layouts."""


class Workers(StrictModel):
    """The processes that train one recognizer together."""

    count: int = Field(default=1, ge=1)
    """Workers; each takes its share of every batch."""
    cpus: float = Field(default=1.0, gt=0)
    """CPU cores a worker takes; so many threads, two at least, decode the images of the next batches."""
    gpus: float = Field(default=1.0, ge=0)
    """GPUs a worker takes. On a machine of its own without a GPU, 0 is taken instead."""
    max_failures: int = Field(default=3, ge=0)
    """How often workers may die before training gives up; each time it goes on after the last finished epoch."""
    feed: Literal["auto", "memory", "stream"] = "auto"
    """Training posts held in each worker's memory, or streamed by Ray Data every epoch. auto: by `memory_mb`."""
    memory_mb: int = Field(default=2000, ge=1)
    """MB of training shards up to which `auto` holds them in memory."""

    @property
    def decoders(self) -> int:
        """Threads that decode images in one worker."""
        return max(2, int(self.cpus))


class Settings(MethodSettings):
    """Everything a job may be told."""

    per_shard: int = Field(default=512, ge=1, le=65_536)
    """Posts in a shard. Fixed when the corpus is ingested."""
    pools: Pools = Pools()
    """Actors a stage."""
    recognizer: RecognizerSettings = RecognizerSettings()
    """What a new recognizer starts from."""
    training: TrainingSettings = TrainingSettings()
    """How it is trained."""
    workers: Workers = Workers()
    """Where it is trained."""
    prediction: PredictionSettings = PredictionSettings()
    """How a finished one is run."""
    max_failed: float = Field(default=0.05, ge=0, le=1)
    """Share of posts that may fail (broken image, no synthesis) before the job exits with an error."""
    wait_for_gpus_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds to wait for the actors' machines. Default: 60, or 900 where the cluster says that it scales itself, as
    managed ones do; one that `ray up` or KubeRay scales takes minutes and does not say so."""
    bucket_mb: int = Field(default=128, ge=1)
    """Aimed size, in MB, of the scratch buckets that ingest sorts posts into."""


def load_settings(config: str | Path | Mapping[str, Any] = "default", overrides: Sequence[str] = ()) -> Settings:
    """Settings from a preset's name, a YAML file or a tree, then `name=value` words as the command line takes them.

    Raises SettingsError for an unknown preset or setting (with the nearest name) and for a value out of range.
    """
    tree = dict(config) if isinstance(config, Mapping) else read_tree(config, [method.PRESETS, PRESETS])
    for word in overrides:
        tree = deep_merge(tree, override(word))
    return build_settings(Settings, tree)


def override(word: str) -> dict[str, Any]:
    """`triplet.margin=0.2` as a tree. Raises SettingsError for a word that is no `name=value`."""
    name, equals, value = word.partition("=")
    if not equals:
        raise SettingsError(f"{word!r} is no setting: write name=value, for example triplet.margin=0.2")
    try:
        return expand_dotted(name, yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise SettingsError(f"{word!r}: the value is not readable: {error}") from error


def settings_help(kind: type[StrictModel] = Settings, head: str = "Settings (NAME=VALUE, or in a YAML file):") -> str:
    """Every setting of a tree with its default and its help text, for the end of `--help`."""
    lines = ["\b", head]
    said: set[str] = set()
    for leaf in iter_fields(kind):
        lines.append(f"  {leaf.name} = {_shown(leaf.default)}")
        if not (leaf.name.startswith("pools.") and leaf.help in said):  # every pool's settings mean the same
            lines += [f"      {line}" for line in textwrap.wrap(leaf.help, 70)]
        said.add(leaf.help)
    return "\n".join(lines)


def _shown(default: Any) -> str:
    """As it would be written in a YAML file."""
    if isinstance(default, tuple):
        return f"[{', '.join(map(_shown, default))}]"
    return "none" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
