"""What an experiment is made of: tables, recognizers, seeds, data sets, and the settings of everything in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from amia import settings as method
from amia.errors import SettingsError
from amia.utils.config import StrictModel, build_settings, deep_merge, read_tree
from ray_jobs.settings import job
from ray_jobs.settings.job import Settings, load_settings

__all__ = ["DataSet", "Experiment", "ExperimentSettings", "load_experiment"]

PRESETS = Path(__file__).parent / "presets" / "experiments"


class DataSet(StrictModel):
    """One corpus of an experiment."""

    run: str
    """Its run: a folder, or s3://, gs://, az://. Arms that it lacks are made."""
    source: str | None = None
    """What to ingest where the run holds no posts yet, as for `amia ingest`."""
    images: str | None = None
    """Folder of the images, where it is not beside the texts."""
    mixture: str | None = None
    """A run or folder whose frozen mixture is taken, as for `amia augment --mixture`."""


class ExperimentSettings(StrictModel):
    """The grid and its tables."""

    tables: tuple[Literal["table1", "table2", "table3", "controls"], ...] = ("table1", "table2", "table3", "controls")
    """What to print; recognizers that several tables share are trained once."""
    recognizers: tuple[str, ...] = ("umt", "maf", "bert-resnet-crf")
    """Systems that look at images."""
    text_systems: tuple[str, ...] = ("bilstm-crf", "cnn-bilstm-crf", "hbilstm-crf", "bert", "bert-crf")
    """Systems that read the text alone, for `table1`."""
    seeds: tuple[int, ...] = Field(default=(0, 1, 2, 3, 4), min_length=1)
    """Each recognizer is trained once a seed."""
    split: str = "test"
    """The posts that are scored."""
    resamples: int = Field(default=10_000, ge=100)
    """Of the test posts, for intervals and p values."""
    data: Mapping[str, DataSet] = Field(default_factory=dict)
    """Data sets by the name that tables print: `NAME: {run: RUN, source: CORPUS, images: DIR, mixture: RUN}`.

    `source` is ingested where the run holds no posts yet. All but `run` may be left out, and `--run` stands in for all.
    """
    draw: int | None = Field(default=None, ge=400)
    """Posts of the demo's drawn world that an empty run starts from."""
    accept_mixture: bool = False
    """Go on with a mixture that the checks would refuse."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    """Everything else, as in a settings file: `preset: NAME` to start from, and what differs."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment as asked for."""

    name: str
    """Folder of its tables in each run: `experiments/<name>`."""
    grid: ExperimentSettings
    settings: Settings


def load_experiment(
    config: str = "default", runs: Sequence[str] = (), words: Sequence[str] = (), *, name: str | None = None
) -> Experiment:
    """An experiment from a preset's name or a YAML file.

    `runs` (`RUN`, or `NAME=RUN` with the name that tables print) stand in for the file's data sets. `words` are
    `name=value`: of the grid (`seeds=[0,1]`), or of the settings (`training.epochs=5`).

    Raises SettingsError for an unknown preset or setting, a value out of range, and where no data set is named.
    """
    tree = read_tree(config, [PRESETS])
    fields = ExperimentSettings.model_fields
    own = [word for word in words if word.partition("=")[0].partition(".")[0] in fields]
    for word in own:
        tree = deep_merge(tree, job.override(word))
    if runs:
        tree["data"] = dict(_named(run) for run in runs)
    grid = build_settings(ExperimentSettings, tree)
    if not grid.data:
        raise SettingsError("an experiment needs a data set: give --run RUN, or `data:` in its file")
    given = dict(grid.settings)
    base = read_tree(str(given.pop("preset", "default")), [method.PRESETS, job.PRESETS])
    settings = load_settings(deep_merge(base, given), [word for word in words if word not in own])
    return Experiment(name or Path(config).stem, grid, settings)


def _named(run: str) -> tuple[str, dict[str, str]]:
    name, equals, address = run.partition("=")
    if equals and "/" not in name:
        return name, {"run": address}
    return PurePosixPath(run.rstrip("/")).name or run, {"run": run}
