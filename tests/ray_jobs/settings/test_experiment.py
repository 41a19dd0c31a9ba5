"""What an experiment is asked for: presets, files, words on the command line, and how they go together."""

from pathlib import Path

import pytest

from amia.errors import SettingsError
from amia.experiments.run_specs import TABLES, run_specs
from ray_jobs.cli.main import app
from ray_jobs.settings.experiment import PRESETS, ExperimentSettings, load_experiment


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_every_preset_is_whole(preset: str) -> None:
    asked = load_experiment(preset, ["runs/some"])
    assert asked.name == preset
    assert set(asked.grid.tables) <= set(TABLES)
    assert asked.grid.data["some"].run == "runs/some"
    demo = preset.startswith("demo")
    assert (asked.grid.draw is not None) == demo
    assert (asked.settings.generator.model == "demo:generator") == demo


def test_the_paper_s_tables_and_a_demo_size_of_each() -> None:
    names = {path.stem for path in PRESETS.glob("*.yaml")}
    assert names == {"default", "demo", *TABLES, *(f"demo-{table}" for table in TABLES)}


def test_the_demo_is_at_most_45_trainings() -> None:
    grid = load_experiment("demo", ["runs/some"]).grid
    wanted = {
        (need.recognizer, need.arm)
        for table in grid.tables
        for need in run_specs(table, grid.recognizers, grid.text_systems, "expected")
    }
    assert len(grid.recognizers) == 1
    assert len(grid.seeds) == 3
    assert len(wanted) * len(grid.seeds) <= 45


def test_the_help_holds_the_grid_with_its_defaults_and_everything_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert app(["experiment", "--help"], standalone_mode=False) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, field in ExperimentSettings.model_fields.items():
        (at,) = (number for number, line in enumerate(lines) if line.startswith(f"    {name} = ") and number < 60)
        assert (field.description or "").split()[0] in lines[at + 1]
    assert "    seeds = [0, 1, 2, 3, 4]" in lines
    assert "    triplet.margin = 0.1" in lines


def test_runs_may_be_named() -> None:
    runs = ["Twitter-2015=s3://bucket/t15", "s3://bucket/t17/", "runs/a=b", "here"]
    data = load_experiment("table1", runs).grid.data
    assert {name: each.run for name, each in data.items()} == {
        "Twitter-2015": "s3://bucket/t15",
        "t17": "s3://bucket/t17/",
        "a=b": "runs/a=b",
        "here": "here",
    }


def test_words_go_to_the_grid_or_to_the_settings() -> None:
    words = ["seeds=[7]", "recognizers=[umt]", "training.epochs=2", "seed=5"]
    asked = load_experiment("demo", ["r"], words, name="mine")
    assert (asked.grid.seeds, asked.grid.recognizers, asked.name) == ((7,), ("umt",), "mine")
    assert (asked.settings.training.epochs, asked.settings.seed) == (2, 5)
    assert asked.settings.training.batch == 16, "the demo preset's own"


def test_a_file_of_one_s_own(tmp_path: Path) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(
        "preset: demo-table2\n"
        "data:\n"
        "  Ours: {run: runs/ours, source: corpora/ours}\n"
        "settings: {preset: demo, triplet: {negatives: batch}}\n"
    )
    asked = load_experiment(str(file))
    assert asked.name == "ours"
    assert asked.grid.tables == ("table2",)
    assert asked.grid.data["Ours"].source == "corpora/ours"
    assert asked.settings.triplet.negatives == "batch"
    assert asked.settings.clip.model == "demo:clip"


@pytest.mark.parametrize(
    ("config", "runs", "words", "says"),
    [
        ("tabel1", ["r"], [], "did you mean 'table1'"),
        ("table1", [], [], "needs a data set"),
        ("table1", ["r"], ["seeds=[]"], "seeds"),
        ("table1", ["r"], ["tables=[table9]"], "table9"),
        ("table1", ["r"], ["seeds"], "no setting"),
        ("table1", ["r"], ["training.epoch=3"], "training.epochs"),
        ("demo", ["r"], ["draw=10"], "draw"),
    ],
)
def test_what_is_wrong_is_named(config: str, runs: list[str], words: list[str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load_experiment(config, runs, words)
