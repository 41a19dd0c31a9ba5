"""`amia experiment` on real Ray: cells are computed once, shared by tables, and never repeated."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amia.errors import IdentityError, SettingsError, StageError
from amia.experiments.results import CellResult
from amia.experiments.run_specs import RunSpec
from ray_jobs.jobs import experiment_cells
from ray_jobs.jobs.evaluate import evaluate
from ray_jobs.jobs.experiment import ExperimentResult, experiment, prepare_dataset
from ray_jobs.jobs.experiment_cells import Cell, plan_cells
from ray_jobs.jobs.experiment_tables import demo_notice
from ray_jobs.settings.experiment import ExperimentSpec, load_experiment
from ray_jobs.settings.job import Settings
from tests.helpers.drivers import finish, kill_when, start
from tests.helpers.local_actors import local_actors

GRID = ("tables=[table3]", "seeds=[0]", "text_systems=[bilstm-crf]", "resamples=200", "accept_mixture=true")
QUICK = ("training.epochs=1", "workers.cpus=8", "pools.predict.max=1")
"""One epoch, and one training at a time on the eight declared cores, so that a single process imports torch."""
RESULT_FOLDERS = ("cells", "models", "predictions", "evaluations", "augmented")

MakeSpec = Callable[..., ExperimentSpec]


@pytest.fixture(scope="module")
def run(augmented: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("experiment") / "run"
    shutil.copytree(augmented, run)
    return run


@pytest.fixture(scope="module")
def make_spec(run: Path, small_words: Sequence[str]) -> MakeSpec:
    def make(*overrides: str, name: str = "ours") -> ExperimentSpec:
        return load_experiment("demo", [f"demo={run}"], [*small_words, *GRID, *QUICK, *overrides], name=name)

    return make


@pytest.fixture(scope="module")
@local_actors()
def result(make_spec: MakeSpec) -> ExperimentResult:
    """Result of the experiment that most tests start from."""
    return experiment(make_spec(), quiet=True)


def read_results(run: Path) -> dict[str, CellResult]:
    return {path.stem: CellResult.from_json(json.loads(path.read_text())) for path in (run / "cells").glob("*.json")}


def modification_times(run: Path, *folders: str) -> dict[str, int]:
    return {
        str(path): path.stat().st_mtime_ns for folder in folders for path in (run / folder).rglob("*") if path.is_file()
    }


@local_actors()
def test_results_equal_evaluate(result: ExperimentResult, run: Path, small: Callable[..., Settings]) -> None:
    results = read_results(run)
    assert (result.cells, result.finished, len(results)) == (4, 0, 4)
    assert {(cell.recognizer, cell.arm, cell.seed, cell.swapped) for cell in results.values()} == {
        ("bert-resnet-crf", arm, 0, False) for arm in ("original", "synthesized", "adaptive", "two-sided")
    }
    for key, cell in results.items():
        name = f"bert-resnet-crf-{cell.arm}-seed0-{key[:8]}"
        evaluation = evaluate(str(run), small("pools.predict.max=1"), model=name, arm=cell.arm, quiet=True)
        for part in ("all", "matched", "mismatched", "with_image"):
            assert cell.score(part) == evaluation.lenient[part].micro
            assert cell.mask(part).sum() == evaluation.lenient[part].posts


def test_publishes_tables(result: ExperimentResult, run: Path) -> None:
    folder = run / "experiments" / "ours"
    assert result.folders == [str(folder)]
    tree = json.loads((folder / "tables.json").read_text(encoding="utf-8"))
    assert "demo" in tree["notice"]
    assert tree["grid"]["seeds"] == [0]
    assert tree["settings"]["clip"]["model"] == "demo:clip"
    for table, table_tree in zip(result.tables, tree["tables"], strict=True):
        assert (folder / f"{table.name}.md").read_text(encoding="utf-8") == table.markdown()
        assert table_tree["rows"] == table.rows
        assert all(len(row) == len(table.head) for row in table.rows)
    assert "table3" in {table.name for table in result.tables}
    rows = list(csv.DictReader((folder / "table3.csv").read_text(encoding="utf-8").splitlines()))
    assert rows


def test_repeat_computes_nothing(result: ExperimentResult, make_spec: MakeSpec, run: Path) -> None:
    before = modification_times(run, *RESULT_FOLDERS)
    repeated = experiment(make_spec(), quiet=True)
    assert modification_times(run, *RESULT_FOLDERS) == before
    assert (repeated.cells, repeated.finished) == (4, 4)
    assert [table.to_json() for table in repeated.tables] == [table.to_json() for table in result.tables]


def test_another_table_trains_only_missing_cells(result: ExperimentResult, make_spec: MakeSpec, run: Path) -> None:
    before = modification_times(run, "cells", "models")
    extended = experiment(make_spec("tables=[table1,table3]", name="more"), quiet=True)
    assert (extended.cells, extended.finished) == (5, 4)
    after = modification_times(run, "cells", "models")
    assert {key: after[key] for key in before} == before
    new = [cell for key, cell in read_results(run).items() if f"{run}/cells/{key}.json" not in before]
    assert [cell.recognizer for cell in new] == ["bilstm-crf"]
    assert (run / "experiments/ours/tables.json").exists()


def test_swapped_images_reuse_the_model(
    result: ExperimentResult, make_spec: MakeSpec, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [RunSpec("bert-resnet-crf", "adaptive", swapped=True)]
    monkeypatch.setattr(experiment_cells, "run_specs", lambda *_: specs)
    before = modification_times(run, "models")
    experiment(make_spec("tables=[controls]", name="swapped"), quiet=True)
    assert modification_times(run, "models") == before
    results = read_results(run).values()
    (swapped,) = (cell for cell in results if cell.swapped)
    (own,) = (cell for cell in results if cell.arm == "adaptive" and not cell.swapped)
    assert swapped.ids == own.ids


def test_cell_keys_depend_on_settings(result: ExperimentResult, make_spec: MakeSpec) -> None:
    def keys(*overrides: str) -> set[str]:
        spec = make_spec(*overrides)
        job = prepare_dataset(spec, "demo", spec.grid.data["demo"], quiet=True)
        return {cell.key for cell in plan_cells(spec.grid, "demo", job).values()}

    same = keys("training.cache_gb=1", "pools.mix.lease=1", "workers.max_failures=0")
    assert same == keys()
    assert keys("training.epochs=2").isdisjoint(same)
    assert keys("training.lr_new=0.5").isdisjoint(same)
    assert keys("prediction.micro_batch=3").isdisjoint(same)
    assert len(keys("seeds=[0,1]") - same) == 4


def test_failed_cell_is_a_dash(
    result: ExperimentResult, make_spec: MakeSpec, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_cell = experiment_cells.create_cell

    def create_broken_cell(data: str, job: Any, arm: Any, *args: Any, **kwargs: Any) -> Cell:
        cell = create_cell(data, job, arm, *args, **kwargs)
        if arm.name == "synthesized" and not job.store.exists(cell.result_key(False)):
            key = f"{cell.training.folder}/checkpoints/epoch-00001/state.json"
            job.store.create(key, b"not a state")
        return cell

    monkeypatch.setattr(experiment_cells, "create_cell", create_broken_cell)
    with pytest.raises(StageError, match=r"demo, bert-resnet-crf, synthesized, seed 1(.|\n)*1 cells failed"):
        experiment(make_spec("seeds=[0,1]", name="broken"), quiet=True)
    tree = json.loads((run / "experiments/broken/tables.json").read_text(encoding="utf-8"))
    assert tree["tables"]
    assert len([cell for cell in read_results(run).values() if cell.seed == 1]) == 3


def test_rejects_arms_of_other_settings(result: ExperimentResult, make_spec: MakeSpec) -> None:
    with pytest.raises(IdentityError, match=r"triplet|margin"):
        experiment(make_spec("triplet.margin=0.3"), quiet=True)


def test_rejects_a_run_without_posts(tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec()
    dataset = spec.grid.data["demo"].model_copy(update={"run": str(tmp_path / "none")})
    grid = spec.grid.model_copy(update={"draw": None, "data": {"none": dataset}})
    with pytest.raises(SettingsError, match=r"none: no posts in .*: ingest them first"):
        experiment(replace(spec, grid=grid), quiet=True)


def test_notice_names_demo_weights(make_spec: MakeSpec) -> None:
    text_only = ("tables=[table1]", "recognizers=[]")
    assert demo_notice(make_spec(*text_only)) is None, "an LSTM uses no pretrained weights"
    assert demo_notice(make_spec(*text_only, "text_systems=[bert]")) is not None
    assert demo_notice(make_spec(*text_only, "text_systems=[bert]", "recognizer.text.model=a/b")) is None
    other_encoders = make_spec("recognizer.text.model=a/b", "recognizer.visual.model=c/d")
    assert demo_notice(other_encoders) is not None, "CLIP and generator are the demo's"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_workers_share_a_cell(run: Path, make_spec: MakeSpec, result: ExperimentResult) -> None:
    overrides = ("tables=[table3]", "workers.count=2", "workers.cpus=1", "training.dtype=float32")
    before = len(read_results(run))
    experiment(make_spec(*overrides, "training.batch=12", name="workers"), quiet=True)
    assert len(read_results(run)) == before + 4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_experiment_repeats_no_finished_cell(
    augmented: Path, copied: Callable[..., Path], small_words: Sequence[str]
) -> None:
    run = copied(augmented)
    command = ("experiment", "--config", "demo", "--run", f"demo={run}", *small_words, *GRID, "training.epochs=2")
    kill_when(start(*command), lambda: len(list((run / "cells").glob("*.json"))) >= 1)
    before = modification_times(run, "cells", "augmented")
    models = {
        path.parent.name: modification_times(run, f"models/{path.parent.name}")
        for path in run.glob("models/*/training.json")
    }
    code, output, errors = finish(start(*command))
    assert (code, errors) == (0, "")
    assert any(f"4 cells, {number} of them finished before" in output for number in (1, 2, 3))
    after = modification_times(run, "cells", "augmented")
    assert {key: after[key] for key in before} == before
    assert len(read_results(run)) == 4
    for name, times in models.items():
        assert modification_times(run, f"models/{name}") == times
    assert "Table 3" in output or "table3" in output
