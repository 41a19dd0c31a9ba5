"""Settings of an experiment: tables, recognizers, seeds, data sets, and the settings of its jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from amia import settings as method
from amia.errors import SettingsError
from amia.utils.config import StrictModel, build_settings, deep_merge, read_tree, suggest
from ray_jobs.settings import job
from ray_jobs.settings.job import Settings, load_settings

__all__ = ["DataSet", "DemoMap", "ExperimentSettings", "ExperimentSpec", "load_experiment"]

PRESETS = Path(__file__).parent / "presets" / "experiments"

TableName = Literal["table1", "table2", "table3", "controls", "when"]


class DataSet(StrictModel):
    """One data set of an experiment."""

    run: str
    """Run of the data set: a folder, or s3://, gs://, az://. Missing arms are created."""
    source: str | None = None
    """Corpus to ingest if the run holds no posts yet, as in `amia ingest`."""
    images: str | None = None
    """Folder of the images, if it is not next to the texts."""
    mixture: str | None = None
    """Run or folder with a fitted mixture to use, as in `amia augment --mixture`."""
    seeds: tuple[int, ...] | None = Field(default=None, min_length=1)
    """Seeds of its recognizers, if not those of the experiment."""
    mismatched: float | None = Field(default=None, ge=0, le=1)
    """Share of mismatched images in a demo corpus that is drawn for this data set."""
    known: float | None = Field(default=None, ge=0, le=1)
    """Share of the rare names in such a corpus that the weights of the demo know."""


class DemoMap(StrictModel):
    """Demo corpora for every combination of two shares, equal in everything else."""

    mismatched: tuple[float, ...] = Field(default=(0.0, 0.2, 0.4, 0.6), min_length=1)
    """Shares of mismatched images."""
    known: tuple[float, ...] = Field(default=(0.5, 0.8, 1.0), min_length=1)
    """Shares of the rare names that CLIP and generator know."""
    all_seeds_at: tuple[float, float] = (0.4, 0.8)
    """The corpora of this row (`mismatched`) and of this column (`known`) have all seeds, the others the first one."""

    def data_sets(self, folder: str, seeds: tuple[int, ...]) -> dict[str, DataSet]:
        """Return the data sets by name, with their runs in `folder`."""
        row, column = self.all_seeds_at
        return {
            f"mismatched-{mismatched:g}-known-{known:g}": DataSet(
                run=f"{folder.rstrip('/')}/mismatched-{mismatched:g}-known-{known:g}",
                mismatched=mismatched,
                known=known,
                seeds=seeds if mismatched == row or known == column else seeds[:1],
            )
            for mismatched in self.mismatched
            for known in self.known
        }


class ExperimentSettings(StrictModel):
    """The grid of cells and the tables."""

    tables: tuple[TableName, ...] = ("table1", "table2", "table3", "controls")
    """Tables to print; recognizers that several tables share are trained once. `when` needs `map`."""
    recognizers: tuple[str, ...] = ("umt", "maf", "bert-resnet-crf")
    """Systems that use images."""
    text_systems: tuple[str, ...] = ("bilstm-crf", "cnn-bilstm-crf", "hbilstm-crf", "bert", "bert-crf")
    """Systems that use text only, for `table1`."""
    seeds: tuple[int, ...] = Field(default=(0, 1, 2, 3, 4), min_length=1)
    """Each recognizer is trained once per seed."""
    split: str = "test"
    """Split whose posts are scored."""
    resamples: int = Field(default=10_000, ge=100)
    """Bootstrap resamples of the test posts, for confidence intervals and p-values."""
    data: Mapping[str, DataSet] = Field(default_factory=dict)
    """Data sets by their name in the tables: `NAME: {run: RUN, source: CORPUS, images: DIR, mixture: RUN}`.

    `source` is ingested if the run holds no posts yet. All but `run` are optional, and `--run` replaces all.
    """
    draw: int | None = Field(default=None, ge=400)
    """Number of demo posts to create if a run holds no posts and its data set has no source."""
    map: DemoMap | None = None
    """Demo corpora for the table `when`; `--run` is then the folder of their runs, and `data` is not used."""
    accept_mixture: bool = False
    """Continue with a mixture that fails the checks."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    """All other settings, as in a settings file: `preset: NAME` to start from, and the changes."""


@dataclass(frozen=True, slots=True)
class ExperimentSpec:
    """An experiment as requested by the user."""

    name: str
    """Name of the folder of its tables in each run: `experiments/<name>`."""
    grid: ExperimentSettings
    settings: Settings


def load_experiment(
    config: str = "default", runs: Sequence[str] = (), overrides: Sequence[str] = (), *, name: str | None = None
) -> ExperimentSpec:
    """Load an experiment from the name of a preset or from a YAML file.

    `runs` replace the data sets of the file; each is `RUN`, or `NAME=RUN` with the name in the tables. `overrides` are
    `name=value` of the grid (`seeds=[0,1]`) or of the settings (`training.epochs=5`).

    Raises SettingsError for an unknown preset or setting, for a value out of range, and if there is no data set.
    """
    tree = read_tree(config, [PRESETS])
    grid_overrides = [override for override in overrides if _is_of_grid(override)]
    for override in grid_overrides:
        tree = deep_merge(tree, job.parse_override(override))
    if runs:
        tree["data"] = dict(_parse_run(run) for run in runs)
    grid = build_settings(ExperimentSettings, tree)
    if grid.map is not None:
        grid = _add_map(grid, grid.map)
    elif "when" in grid.tables:
        raise SettingsError("the table `when` needs `map`: start with --config demo-when")
    if not grid.data:
        raise SettingsError("an experiment needs a data set: pass --run RUN, or add `data:` to its file")
    changes = dict(grid.settings)
    base = read_tree(str(changes.pop("preset", "default")), [method.PRESETS, job.PRESETS])
    settings = load_settings(
        deep_merge(base, changes), [override for override in overrides if override not in grid_overrides]
    )
    return ExperimentSpec(name or Path(config).stem, grid, settings)


def _add_map(grid: ExperimentSettings, demo_map: DemoMap) -> ExperimentSettings:
    """Replace the only data set of the grid, the folder of the map, by the data sets of the map."""
    if len(grid.data) != 1 or len(grid.recognizers) != 1:
        raise SettingsError("a map needs one recognizer, and one --run FOLDER for the runs of its corpora")
    (folder,) = (dataset.run for dataset in grid.data.values())
    return grid.model_copy(update={"data": demo_map.data_sets(folder, grid.seeds)})


def _is_of_grid(override: str) -> bool:
    """Return whether an override names a field of the grid, or is a likely misspelling of one."""
    name = override.partition("=")[0]
    fields = list(ExperimentSettings.model_fields)
    if name.partition(".")[0] in fields:
        return True
    return "." not in name and name not in Settings.model_fields and bool(suggest(name, fields))


def _parse_run(run: str) -> tuple[str, dict[str, str]]:
    name, equals, address = run.partition("=")
    if equals and "/" not in name:
        return name, {"run": address}
    return PurePosixPath(run.rstrip("/")).name or run, {"run": run}
