"""Settings of an experiment: presets, files, command-line overrides, and their precedence."""

from pathlib import Path

import pytest

from amia.errors import SettingsError
from amia.experiments.run_specs import TABLES, run_specs
from ray_jobs.cli.main import app
from ray_jobs.settings.experiment import PRESETS, ExperimentSettings, load_experiment


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_loads_every_preset(preset: str) -> None:
    spec = load_experiment(preset, ["runs/ours"])
    assert spec.name == preset
    if spec.grid.map:
        assert spec.grid.tables == ("when",)
    else:
        assert set(spec.grid.tables) <= set(TABLES)
        assert spec.grid.data["ours"].run == "runs/ours"
    demo = preset.startswith("demo")
    assert (spec.grid.draw is not None) == demo
    assert (spec.settings.generator.model == "demo:generator") == demo


def test_presets_are_tables_and_their_demos() -> None:
    names = {path.stem for path in PRESETS.glob("*.yaml")}
    assert names == {"default", "demo", *TABLES, *(f"demo-{table}" for table in (*TABLES, "when"))}


def test_demo_has_at_most_48_trainings() -> None:
    grid = load_experiment("demo", ["runs/ours"]).grid
    trainings = {
        (spec.recognizer, spec.arm)
        for table in grid.tables
        for spec in run_specs(table, grid.recognizers, grid.text_systems)
    }
    assert len(grid.recognizers) == 1
    assert len(grid.seeds) == 3
    assert len(trainings) * len(grid.seeds) <= 48


def test_map_has_more_seeds_in_one_row_and_one_column() -> None:
    data = load_experiment("demo-when", ["maps/ours/"]).grid.data
    points = {(dataset.mismatched, dataset.known): dataset for dataset in data.values()}
    assert set(points) == {(m, k) for m in (0, 0.2, 0.4, 0.6) for k in (0.5, 0.8, 1)}
    for (mismatched, known), dataset in points.items():
        assert dataset.seeds == ((0, 1, 2) if mismatched == 0.4 or known == 0.8 else (0,))
        assert dataset.run == f"maps/ours/mismatched-{mismatched:g}-known-{known:g}"
    assert len({dataset.run for dataset in data.values()}) == 12


def test_map_settings() -> None:
    overrides = ["map.mismatched=[0.3]", "map.known=[0.5,1.0]", "map.all_seeds_at=[0.1,1.0]", "seeds=[4,7]"]
    data = load_experiment("demo-when", ["m"], overrides).grid.data
    assert {name: dataset.seeds for name, dataset in data.items()} == {
        "mismatched-0.3-known-0.5": (4,),
        "mismatched-0.3-known-1": (4, 7),
    }


def test_help_lists_grid_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert app(["experiment", "--help"], standalone_mode=False) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, field in ExperimentSettings.model_fields.items():
        (index,) = (index for index, line in enumerate(lines) if line.startswith(f"    {name} = ") and index < 60)
        assert (field.description or "").split()[0] in lines[index + 1]
    assert "    seeds = [0, 1, 2, 3, 4]" in lines
    assert "    triplet.margin = 0.1" in lines


def test_names_data_sets_after_runs() -> None:
    runs = ["Twitter-2015=s3://bucket/t15", "s3://bucket/t17/", "runs/a=b", "here"]
    data = load_experiment("table1", runs).grid.data
    assert {name: dataset.run for name, dataset in data.items()} == {
        "Twitter-2015": "s3://bucket/t15",
        "t17": "s3://bucket/t17/",
        "a=b": "runs/a=b",
        "here": "here",
    }


def test_overrides_apply_to_grid_or_settings() -> None:
    overrides = ["seeds=[7]", "recognizers=[umt]", "training.epochs=2", "seed=5"]
    spec = load_experiment("demo", ["r"], overrides, name="mine")
    assert (spec.grid.seeds, spec.grid.recognizers, spec.name) == ((7,), ("umt",), "mine")
    assert (spec.settings.training.epochs, spec.settings.seed) == (2, 5)
    assert spec.settings.training.batch == 16, "from the demo preset"


def test_loads_a_yaml_file(tmp_path: Path) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(
        "preset: demo-table2\n"
        "data:\n"
        "  Ours: {run: runs/ours, source: corpora/ours}\n"
        "settings: {preset: demo, triplet: {negatives: batch}}\n"
    )
    spec = load_experiment(str(file))
    assert spec.name == "ours"
    assert spec.grid.tables == ("table2",)
    assert spec.grid.data["Ours"].source == "corpora/ours"
    assert spec.settings.triplet.negatives == "batch"
    assert spec.settings.clip.model == "demo:clip"


@pytest.mark.parametrize(
    ("config", "runs", "overrides", "message"),
    [
        ("tabel1", ["r"], [], "did you mean 'table1'"),
        ("table1", [], [], "needs a data set"),
        ("table1", ["r"], ["seeds=[]"], "seeds"),
        ("table1", ["r"], ["tables=[table9]"], "table9"),
        ("table1", ["r"], ["seeds"], "not a setting"),
        ("table1", ["r"], ["recognisers=[umt]"], "did you mean 'recognizers'"),
        ("table1", ["r"], ["training.epoch=3"], "training.epochs"),
        ("demo", ["r"], ["draw=10"], "draw"),
        ("demo", ["r"], ["tables=[when]"], "needs `map`: start with --config demo-when"),
        ("demo-when", [], [], "one --run FOLDER"),
        ("demo-when", ["r", "s"], [], "one --run FOLDER"),
        ("demo-when", ["r"], ["recognizers=[umt,maf]"], "one recognizer"),
        ("demo-when", ["r"], ["map.mismatched=[]"], "mismatched"),
    ],
)
def test_rejects_invalid_settings(config: str, runs: list[str], overrides: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_experiment(config, runs, overrides)
