"""`amia experiment` on real Ray: every cell once, whatever tables ask for it, and nothing that was finished again."""

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
from ray_jobs.jobs.context import open_context
from ray_jobs.jobs.evaluate import evaluate
from ray_jobs.jobs.experiment import ExperimentResult, experiment
from ray_jobs.jobs.experiment_cells import Cell
from ray_jobs.settings.experiment import Experiment, load_experiment
from ray_jobs.settings.job import Settings
from tests.helpers.drivers import finish, kill_when, start

GRID = ("tables=[table3]", "seeds=[0]", "text_systems=[bilstm-crf]", "resamples=200", "accept_mixture=true")
QUICK = ("training.epochs=1", "workers.cpus=4", "pools.predict.max=1")
"""One epoch, and two trainings at a time on the eight declared cores."""


@pytest.fixture(scope="module")
def run(augmented: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("experiment") / "run"
    shutil.copytree(augmented, run)
    return run


@pytest.fixture(scope="module")
def asked(run: Path, small_words: Sequence[str]) -> Callable[..., Experiment]:
    def ask(*words: str, name: str = "ours") -> Experiment:
        return load_experiment("demo", [f"drawn={run}"], [*small_words, *GRID, *QUICK, *words], name=name)

    return ask


@pytest.fixture(scope="module")
def done(asked: Callable[..., Experiment]) -> ExperimentResult:
    return experiment(asked(), quiet=True)


def results(run: Path) -> dict[str, CellResult]:
    return {path.stem: CellResult.from_json(json.loads(path.read_text())) for path in (run / "cells").glob("*.json")}


def stamps(run: Path, *folders: str) -> dict[str, int]:
    return {
        str(path): path.stat().st_mtime_ns for folder in folders for path in (run / folder).rglob("*") if path.is_file()
    }


def test_a_result_is_what_evaluate_says_of_the_model(
    done: ExperimentResult, run: Path, small: Callable[..., Settings]
) -> None:
    found = results(run)
    assert (done.cells, done.finished, len(found)) == (3, 0, 3)
    assert {(each.recognizer, each.arm, each.seed, each.swapped) for each in found.values()} == {
        ("bert-resnet-crf", arm, 0, False) for arm in ("original", "synthesized", "adaptive")
    }
    for key, each in found.items():
        name = f"bert-resnet-crf-{each.arm}-seed0-{key[:8]}"
        told = evaluate(str(run), small("pools.predict.max=1"), model=name, arm=each.arm, quiet=True)
        for part in ("all", "matched", "mismatched", "with_image"):
            assert each.score(part) == told.lenient[part].micro
            assert each.mask(part).sum() == told.lenient[part].posts


def test_tables_stand_in_the_run(done: ExperimentResult, run: Path) -> None:
    folder = run / "experiments" / "ours"
    assert done.folders == [str(folder)]
    about = json.loads((folder / "tables.json").read_text(encoding="utf-8"))
    assert "demo" in about["notice"]
    assert about["grid"]["seeds"] == [0]
    assert about["settings"]["clip"]["model"] == "demo:clip"
    for table, told in zip(done.tables, about["tables"], strict=True):
        assert (folder / f"{table.name}.md").read_text(encoding="utf-8") == table.markdown()
        assert told["rows"] == table.rows
        assert all(len(row) == len(table.head) for row in table.rows)
    assert "table3" in {table.name for table in done.tables}
    rows = list(csv.DictReader((folder / "table3.csv").read_text(encoding="utf-8").splitlines()))
    assert rows


def test_the_same_again_trains_and_scores_nothing(
    done: ExperimentResult, asked: Callable[..., Experiment], run: Path
) -> None:
    before = stamps(run, "cells", "models", "predictions", "evaluations", "augmented")
    again = experiment(asked(), quiet=True)
    assert stamps(run, "cells", "models", "predictions", "evaluations", "augmented") == before
    assert (again.cells, again.finished) == (3, 3)
    assert [table.to_json() for table in again.tables] == [table.to_json() for table in done.tables]


def test_another_table_trains_what_it_lacks_alone(
    done: ExperimentResult, asked: Callable[..., Experiment], run: Path
) -> None:
    before = stamps(run, "cells", "models")
    more = experiment(asked("tables=[table1,table3]", name="more"), quiet=True)
    assert (more.cells, more.finished) == (4, 3)
    after = stamps(run, "cells", "models")
    assert {key: after[key] for key in before} == before
    assert [each.recognizer for key, each in results(run).items() if f"{run}/cells/{key}.json" not in before] == [
        "bilstm-crf"
    ]
    assert (run / "experiments/ours/tables.json").exists()


def test_exchanged_images_are_scored_with_the_model_that_is_there(
    done: ExperimentResult, asked: Callable[..., Experiment], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from amia.experiments.run_specs import RunSpec
    from ray_jobs.jobs import experiment as module

    monkeypatch.setattr(module, "run_specs", lambda *_: [RunSpec("bert-resnet-crf", "adaptive", swapped=True)])
    before = stamps(run, "models")
    experiment(asked("tables=[controls]", name="swapped"), quiet=True)
    assert stamps(run, "models") == before
    (one,) = (each for each in results(run).values() if each.swapped)
    (own,) = (each for each in results(run).values() if each.arm == "adaptive" and not each.swapped)
    assert one.ids == own.ids


def test_other_settings_are_other_cells(done: ExperimentResult, asked: Callable[..., Experiment], run: Path) -> None:
    from ray_jobs.jobs.experiment import _cells, _data

    def keys(ask: Experiment) -> set[str]:
        job = _data(ask, "drawn", ask.grid.data["drawn"], quiet=True)
        return {cell.key for cell in _cells(ask.grid, "drawn", job).values()}

    same = keys(asked("training.cache_gb=1", "pools.mix.lease=1", "workers.max_failures=0"))
    assert same == keys(asked())
    assert keys(asked("training.epochs=2")).isdisjoint(same)
    assert keys(asked("training.lr_new=0.5")).isdisjoint(same)
    assert keys(asked("prediction.micro_batch=3")).isdisjoint(same)
    assert len(keys(asked("seeds=[0,1]")) - same) == 3


def test_as_many_side_by_side_as_the_declared_gpus_and_cores_hold(
    done: ExperimentResult, asked: Callable[..., Experiment], run: Path
) -> None:
    from ray_jobs.jobs.experiment import _cells
    from ray_jobs.jobs.experiment_cells import _side_by_side

    def side_by_side(*words: str) -> set[int]:
        ask = asked(*words)
        job = open_context(str(run), ask.settings, quiet=True)
        return {_side_by_side(cell) for cell in _cells(ask.grid, "drawn", job).values()}

    assert side_by_side("workers.gpus=1", "workers.cpus=1") == {4}
    assert side_by_side("workers.gpus=0.5", "workers.cpus=1") == {8}
    assert side_by_side("workers.gpus=0.5", "workers.cpus=2") == {4}, "the cores are the limit"
    assert side_by_side("workers.gpus=1", "workers.cpus=1", "workers.count=3") == {1}
    assert side_by_side("workers.gpus=0", "workers.cpus=3") == {2}


def test_a_cell_that_fails_is_a_dash_and_the_others_are_finished(
    done: ExperimentResult, asked: Callable[..., Experiment], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray_jobs.jobs import experiment as module

    made = module.cell_of

    def spoiled(data: str, job: Any, arm: Any, *more: Any, **named: Any) -> Cell:
        cell = made(data, job, arm, *more, **named)
        if arm.name == "synthesized" and not job.store.exists(cell.result(False)):
            key = f"{cell.training.folder}/checkpoints/epoch-00001/state.json"
            job.store.create(key, b"not a state")
        return cell

    monkeypatch.setattr(module, "cell_of", spoiled)
    with pytest.raises(StageError, match=r"drawn, bert-resnet-crf, synthesized, seed 1(.|\n)*1 cells failed"):
        experiment(asked("seeds=[0,1]", name="spoiled"), quiet=True)
    about = json.loads((run / "experiments/spoiled/tables.json").read_text(encoding="utf-8"))
    assert about["tables"]
    assert len([each for each in results(run).values() if each.seed == 1]) == 2


def test_weights_of_the_demo_are_told_where_they_had_a_part(asked: Callable[..., Experiment]) -> None:
    from ray_jobs.jobs.experiment import _notice

    words = ("tables=[table1]", "recognizers=[]")
    assert _notice(asked(*words)) is None, "an LSTM over words alone"
    assert _notice(asked(*words, "text_systems=[bert]")) is not None
    assert _notice(asked(*words, "text_systems=[bert]", "recognizer.text.model=a/b")) is None
    assert _notice(asked("recognizer.text.model=a/b", "recognizer.visual.model=c/d")) is not None, "clip and generator"


def test_a_run_without_posts_is_told_before_anything_starts(tmp_path: Path, asked: Callable[..., Experiment]) -> None:
    ask = asked()
    grid = ask.grid.model_copy(update={"draw": None, "data": {"none": ask.grid.data["drawn"].model_copy()}})
    grid = grid.model_copy(
        update={"data": {"none": grid.data["none"].model_copy(update={"run": str(tmp_path / "none")})}}
    )
    with pytest.raises(SettingsError, match=r"none: no posts in .*: ingest them first"):
        experiment(replace(ask, grid=grid), quiet=True)


def test_arms_that_were_made_otherwise_are_refused(done: ExperimentResult, asked: Callable[..., Experiment]) -> None:
    with pytest.raises(IdentityError, match=r"triplet|margin"):
        experiment(asked("triplet.margin=0.3"), quiet=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_workers_share_a_cell(run: Path, asked: Callable[..., Experiment], done: ExperimentResult) -> None:
    words = ("tables=[table3]", "workers.count=2", "workers.cpus=1", "training.dtype=float32")
    before = len(results(run))
    experiment(asked(*words, "training.batch=12", name="workers"), quiet=True)
    assert len(results(run)) == before + 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_in_the_middle_it_redoes_no_finished_cell(
    augmented: Path, copied: Callable[..., Path], small_words: Sequence[str]
) -> None:
    run = copied(augmented)
    words = ("experiment", "--config", "demo", "--run", f"drawn={run}", *small_words, *GRID, "training.epochs=2")
    first = start(*words)
    kill_when(first, lambda: len(list((run / "cells").glob("*.json"))) >= 1)
    before = stamps(run, "cells", "augmented")
    models = {
        path.parent.name: stamps(run, f"models/{path.parent.name}") for path in run.glob("models/*/training.json")
    }
    code, said, complained = finish(start(*words))
    assert (code, complained) == (0, "")
    assert "3 cells, 1 of them finished before" in said or "3 cells, 2 of them finished before" in said
    after = stamps(run, "cells", "augmented")
    assert {key: after[key] for key in before} == before
    assert len(results(run)) == 3
    for name, standing in models.items():
        assert stamps(run, f"models/{name}") == standing
    assert "Table 3" in said or "table3" in said
