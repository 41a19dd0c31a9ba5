"""The map of when augmentation helps, on real runs of two tiny corpora with exchanged images.

Runs without Ray and without trainings, whose results are simulated.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amia.demo import write_corpus
from amia.experiments.run_specs import WHEN_ARMS
from amia.experiments.when_map import WhenMap
from ray_jobs.jobs import context as context_module
from ray_jobs.jobs import experiment as experiment_module
from ray_jobs.jobs import ingest as ingest_module
from ray_jobs.jobs.experiment import ExperimentResult, experiment
from ray_jobs.jobs.experiment_cells import Cell
from ray_jobs.runtime import cluster as cluster_module
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.executor import StageSpec, run_locally
from ray_jobs.settings.experiment import load_experiment
from ray_jobs.storage.layout import SYNTHESIZED, arm_folder
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store
from tests.helpers.simulated_results import make_cell, random_counts

POSTS = 40
FIRST, SECOND = "mismatched-0-known-1", "mismatched-0.5-known-1"
GRID = (
    "per_shard=64",
    "map.known=[1.0]",
    "map.all_seeds_at=[9,9]",
    "resamples=200",
    "training.epochs=1",
    "pools.predict.max=1",
)
SHARED = {"text", "synthesized"}


def write_exchanged(folder: Path, *, posts: int, mismatched: float, known: float) -> None:
    """Write a corpus in which a share of the usable images are exchanged, and nothing else depends on the shares."""
    del posts, known
    write_corpus(folder, posts=POSTS, mismatched=0.0, missing=0.1, broken=0.1)
    truth = [json.loads(line) for line in (folder / "truth.ndjson").read_text().splitlines()]
    usable = [row["id"] for row in truth if row["matched"] is not None]
    files = [file for name in usable if (file := folder / "images" / f"{name}.jpg").exists()]
    files = files[: round(mismatched * len(files))]
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, contents[1:] + contents[:1], strict=True):
        file.write_bytes(content)


def publish_simulated(cells: Sequence[Cell], finished: int, log: Callable[[str], None]) -> list[Any]:
    """Publish random results in place of those of trained recognizers."""
    del finished, log
    for cell in cells:
        arm = cell.training.arm
        rows = [
            row
            for key in arm.keys(cell.split)
            for row in read_shard(arm.store, key, ["id", "theta", "image_status"]).to_pylist()
        ]
        gold = np.arange(len(rows)) % 3
        seed = WHEN_ARMS.index(arm.name)
        result = make_cell(
            random_counts(np.random.default_rng(seed), gold, 0.7)[0],
            data=cell.data,
            recognizer=cell.training.system,
            arm=arm.name,
            seed=cell.training.settings.seed,
            ids=tuple(row["id"] for row in rows),
            theta=np.array([row["theta"] for row in rows], float),
            has_image=np.array([row["image_status"] == "ok" for row in rows]),
        )
        cell.job.store.create(cell.result_key(False), json.dumps(result.to_json()).encode())
    return []


def run_here(store: Store, cluster: object, plan: object, specs: Sequence[StageSpec], shards: Any, **_: Any) -> None:
    """Run stages in this process, one after the other, without Ray."""
    for spec in specs:
        run_locally(spec.stage, shards)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("maps") / "when"


@pytest.fixture(scope="module")
def run_map(
    cluster: None, local_stages: None, folder: Path, small_words: Sequence[str]
) -> Callable[..., ExperimentResult]:
    def run(*overrides: str) -> ExperimentResult:
        spec = load_experiment("demo-when", [str(folder)], [*small_words, *GRID, *overrides])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cluster_module, "resources", lambda: {"CPU": 2.0})
            for module in (context_module, ingest_module):
                patch.setattr(module, "connect", lambda: Cluster(is_local=True, autoscales=False))
                patch.setattr(module, "run_stages", run_here)
            patch.setattr(experiment_module, "write_corpus", write_exchanged)
            patch.setattr(experiment_module, "run_cells", publish_simulated)
            return experiment(spec, quiet=True)

    return run


@pytest.fixture(scope="module")
def results(run_map: Callable[..., ExperimentResult]) -> list[ExperimentResult]:
    """Results of a map with one corpus, then with another one, then of the same map in the other order."""
    return [
        run_map("map.mismatched=[0.5]"),
        run_map("map.mismatched=[0.5,0.0]"),
        run_map("map.mismatched=[0.0,0.5]"),
    ]


def read_arm(folder: Path, name: str, arm: str) -> list[dict[str, Any]]:
    """Return what a recognizer reads of an arm."""
    store = Store(folder / name)
    keys = sorted(key for key in store.list(arm_folder(arm)) if key.endswith(".parquet"))
    return [row for key in keys for row in read_shard(store, key, ["id", "tokens", "ner_tags", "image"]).to_pylist()]


def test_shared_arms_are_read_alike(results: list[ExperimentResult], folder: Path) -> None:
    for arm in WHEN_ARMS:
        first, second = (read_arm(folder, name, arm) for name in (FIRST, SECOND))
        assert len(first) == POSTS
        assert (first == second) == (arm in SHARED), arm
        for row in (*first, *second):
            row.pop("image")
        assert first == second


def test_equal_cells_are_computed_once(results: list[ExperimentResult], folder: Path) -> None:
    # With so few posts, two arms of one corpus may be equal, too.
    inputs = {name: {str(read_arm(folder, name, arm)) for arm in WHEN_ARMS} for name in (FIRST, SECOND)}
    before, after = len(inputs[SECOND]), len(inputs[FIRST] | inputs[SECOND])
    assert before < after <= before + len(WHEN_ARMS) - len(SHARED)
    assert [(result.cells, result.finished) for result in results] == [(before, 0), (after, before), (after, after)]
    arms = [json.loads(file.read_text())["arm"] for file in (folder / FIRST / "cells").glob("*.json")]
    assert len(arms) == after - before
    assert not set(arms) & SHARED


def test_images_are_synthesized_once(results: list[ExperimentResult], folder: Path) -> None:
    files = sorted(path.name for path in (folder / SECOND / SYNTHESIZED).iterdir())
    assert len(files) > 2
    for name in files:
        assert (folder / FIRST / SYNTHESIZED / name).samefile(folder / SECOND / SYNTHESIZED / name)


def test_publishes_the_map_in_every_run(results: list[ExperimentResult], folder: Path) -> None:
    result = results[-1]
    (table,) = result.tables
    assert table.name == "when"
    assert result.folders == [str(folder / name / "experiments/demo-when") for name in (FIRST, SECOND)]
    for address in result.folders:
        tree = json.loads((Path(address) / "tables.json").read_text(encoding="utf-8"))
        when = WhenMap.model_validate_json(json.dumps(tree["map"]))
        assert [(point.mismatched, point.known) for point in when.points] == [(0.0, 1.0), (0.5, 1.0)]
        assert all(set(point.arms) == set(WHEN_ARMS) for point in when.points)
        assert (Path(address) / "when.md").read_text(encoding="utf-8") == table.markdown()
        assert len((Path(address) / "when.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2 * len(WHEN_ARMS)
        for point in when.points:
            usable = 0.8 * POSTS
            assert point.original is not None
            assert point.synthesized is not None
            assert abs(point.original.total - usable) <= 2
            assert point.synthesized.total > usable
        assert "demo" in tree["notice"]
