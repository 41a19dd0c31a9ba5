"""The settings files for known machines: they load, and fit the machines that they are named after."""

import re
from pathlib import Path

import pytest

from ray_jobs.settings.job import Pools, load_settings
from tests.helpers.cluster_folder import PRESETS, ray_clusters

FILES = sorted(PRESETS.glob("*.yaml"))
MACHINES = {"8xh100": (8, 192), "4xa10g": (4, 28)}
"""GPUs and cores; of the cores of a g5.2xlarge Kubernetes leaves seven."""
EXECUTIONS = (("fetch",), ("embed",), ("embed", "score"), ("synthesize", "mix"), ("predict",), ("export",))
"""Stages that run side by side."""


def test_both_are_there() -> None:
    assert {file.stem for file in FILES} == MACHINES.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_loads_and_fits_its_machine(file: Path) -> None:
    settings = load_settings(file)
    gpus, cores = MACHINES[file.stem]
    for stages in EXECUTIONS:
        pools = [getattr(settings.pools, stage) for stage in stages]
        assert sum(pool.max * pool.gpus for pool in pools) <= gpus
        assert sum(pool.max * pool.cpus for pool in pools) <= cores
    for model in ("embed", "synthesize", "predict"):
        pool = getattr(settings.pools, model)
        assert pool.max * pool.gpus == gpus, f"{model} leaves a GPU idle"
    assert settings.workers.count * settings.workers.gpus == gpus
    assert settings.workers.count * settings.workers.cpus <= cores
    assert settings.wait_for_gpus_s is not None, "Ray's own autoscalers do not say that they scale"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_threads_are_set_since_a_head_s_cores_would_be_taken(file: Path) -> None:
    pools = load_settings(file).pools
    assert pools.embed.threads == pools.synthesize.threads == 1


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_group_of_numbers_begins_with_its_reason(file: Path) -> None:
    lines = file.read_text().splitlines()
    number = re.compile(r"^ *\w+: *[\d.]+$")
    first = [n for n, line in enumerate(lines) if number.match(line) and not number.match(lines[n - 1])]
    assert len(first) > 10
    assert [lines[n] for n in first if not lines[n - 1].strip().startswith("#")] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_stage_is_decided(file: Path) -> None:
    text = file.read_text()
    assert all(re.search(rf"^  {stage}:$", text, re.MULTILINE) for stage in Pools.model_fields)


def test_the_manifests_nodes_are_those_of_the_preset() -> None:
    gpus, cores = MACHINES["4xa10g"]
    [group] = [each for each in ray_clusters()["RayCluster"]["workerGroupSpecs"] if each["groupName"] == "gpu"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert group["maxReplicas"] * int(limits["nvidia.com/gpu"]) == gpus
    assert group["maxReplicas"] * int(limits["cpu"]) == cores
