"""The settings files for known machines load and fit the machines in their names."""

import re
from pathlib import Path

import pytest

from ray_jobs.settings.job import Pools, load_settings
from tests.helpers.cluster_folder import PRESETS, ray_clusters

FILES = sorted(PRESETS.glob("*.yaml"))
MACHINES = {"8xh100": (8, 192), "4xa10g": (4, 28)}
"""GPUs and cores. Kubernetes leaves seven of the eight cores of a g5.2xlarge."""
EXECUTIONS = (("fetch",), ("embed",), ("embed", "score"), ("synthesize", "mix"), ("predict",), ("export",))
"""Stages that run concurrently."""


def test_presets_exist() -> None:
    assert {file.stem for file in FILES} == MACHINES.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_preset_fits_its_machine(file: Path) -> None:
    settings = load_settings(file)
    gpus, cores = MACHINES[file.stem]
    for stages in EXECUTIONS:
        pools = [getattr(settings.pools, stage) for stage in stages]
        assert sum(pool.max * pool.gpus for pool in pools) <= gpus
        assert sum(pool.max * pool.cpus for pool in pools) <= cores
    for model in ("embed", "synthesize", "predict"):
        pool = getattr(settings.pools, model)
        assert pool.max * pool.gpus == gpus, f"{model} does not use all GPUs"
    assert settings.workers.count == settings.workers.gpus == 1, "a recognizer trains on one GPU, several side by side"
    assert gpus * settings.workers.cpus <= cores
    assert settings.wait_for_gpus_s is not None, "Ray's own autoscalers cannot be detected"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_threads_do_not_depend_on_the_head(file: Path) -> None:
    pools = load_settings(file).pools
    assert pools.embed.threads == pools.synthesize.threads == 1


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_group_of_numbers_has_a_comment(file: Path) -> None:
    lines = file.read_text().splitlines()
    number = re.compile(r"^ *\w+: *[\d.]+$")
    first = [n for n, line in enumerate(lines) if number.match(line) and not number.match(lines[n - 1])]
    assert len(first) > 10
    assert [lines[n] for n in first if not lines[n - 1].strip().startswith("#")] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_preset_sets_every_stage(file: Path) -> None:
    text = file.read_text()
    assert all(re.search(rf"^  {stage}:$", text, re.MULTILINE) for stage in Pools.model_fields)


def test_manifest_nodes_match_the_preset() -> None:
    gpus, cores = MACHINES["4xa10g"]
    [group] = [group for group in ray_clusters()["RayCluster"]["workerGroupSpecs"] if group["groupName"] == "gpu"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert group["maxReplicas"] * int(limits["nvidia.com/gpu"]) == gpus
    assert group["maxReplicas"] * int(limits["cpu"]) == cores
