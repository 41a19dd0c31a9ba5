"""Pools are fitted to a local machine, and left unchanged on a cluster, whose resources are requested and awaited."""

import pytest

from amia.errors import ClusterError
from ray_jobs.runtime import cluster
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.settings.job import Pool, Pools

LOCAL = Cluster(is_local=True, autoscales=False)
ATTACHED = Cluster(is_local=False, autoscales=False)


def set_resources(patch: pytest.MonkeyPatch, cpus: float, gpus: float = 0.0) -> None:
    """Simulate a machine or cluster with these resources."""
    patch.setattr(cluster, "resources", lambda: {"CPU": cpus} | ({"GPU": gpus} if gpus else {}))


@pytest.mark.parametrize("cores", [1, 2, 8, 64])
def test_default_pools_fit_any_machine_without_gpu(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    set_resources(monkeypatch, cores)
    pools = Pools()
    for names in (("fetch",), ("embed",), ("embed", "score"), ("synthesize", "mix")):
        fitted = LOCAL.fit_pools({name: getattr(pools, name) for name in names})
        assert sum(pool.min * pool.cpus for pool in fitted.values()) <= cores + 1e-9
        assert not any(pool.gpus for pool in fitted.values())
        LOCAL.wait_for_pools(fitted, wait_s=0)


def test_model_on_cpu_has_one_actor_per_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    set_resources(monkeypatch, 8)
    assert LOCAL.fit_pools({"embed": Pool(max=64, gpus=1)})["embed"].max == 1
    assert LOCAL.fit_pools({"embed": Pool(max=64, gpus=1, threads=2)})["embed"].max == 4
    assert LOCAL.fit_pools({"embed": Pool(max=64, gpus=1, threads=16)})["embed"].max == 1


def test_model_on_cpu_starts_all_actors_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ray Data reserves cores for the other pool: of two cores the model would never get the second.
    set_resources(monkeypatch, 2)
    pools = {"synthesize": Pool(max=64, gpus=1, threads=1), "mix": Pool(max=64, cpus=0.5)}
    fitted = LOCAL.fit_pools(pools, shards=9)
    assert [(pool.min, pool.max) for pool in fitted.values()] == [(2, 2), (1, 4)]
    assert sum(pool.min * pool.cpus for pool in fitted.values()) <= 2
    LOCAL.wait_for_pools(fitted, wait_s=0)
    assert LOCAL.fit_pools(pools, shards=1)["synthesize"].min == 1
    set_resources(monkeypatch, 8, gpus=2)
    assert LOCAL.fit_pools(pools, shards=9)["synthesize"].min == 1, "actors on GPUs start one by one"


def test_available_gpu_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    set_resources(monkeypatch, 8, gpus=1)
    fitted = LOCAL.fit_pools({"embed": Pool(max=64, gpus=1), "score": Pool(max=64, cpus=0.5)})
    assert (fitted["embed"].gpus, fitted["score"].gpus) == (1, 0)


def test_large_minimum_pools_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    set_resources(monkeypatch, 1)
    pools = {"synthesize": Pool(min=4, max=8, cpus=2), "mix": Pool(min=2, max=2, cpus=1)}
    fitted = LOCAL.fit_pools(pools)
    assert [pool.min for pool in fitted.values()] == [4, 2]
    assert sum(pool.min * pool.cpus for pool in fitted.values()) <= 1
    assert all(pool.max >= pool.min for pool in fitted.values())
    LOCAL.wait_for_pools(fitted, wait_s=0)


def test_too_many_gpus_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    set_resources(monkeypatch, 8, gpus=1)
    with pytest.raises(ClusterError, match="2 GPU needed, 1 available"):
        LOCAL.wait_for_pools(LOCAL.fit_pools({"embed": Pool(min=2, max=2, gpus=1)}), wait_s=60)


def test_pools_of_a_cluster_are_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    set_resources(monkeypatch, 2)
    pools = {"embed": Pool(min=3, max=64, gpus=1)}
    assert ATTACHED.fit_pools(pools) == pools


def test_autoscaling_cluster_is_not_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    set_resources(monkeypatch, 0)
    autoscaling = Cluster(is_local=False, autoscales=True)
    autoscaling.wait_for_pools({"embed": Pool(gpus=1)}, wait_s=0)
    assert autoscaling.wait_s(None) == cluster.WAIT_AUTOSCALED_S
    assert ATTACHED.wait_s(None) == cluster.WAIT_S
    assert autoscaling.wait_s(2.0) == 2.0


def grow_cluster(patch: pytest.MonkeyPatch, *gpu_counts: float) -> list[list[dict[str, float]]]:
    """Simulate a cluster with these numbers of GPUs at successive looks. Returns the requests, a growing list."""
    remaining, requests = list(gpu_counts), []
    patch.setattr(
        cluster, "resources", lambda: {"CPU": 8.0, "GPU": remaining.pop(0) if len(remaining) > 1 else remaining[0]}
    )
    patch.setattr(cluster, "request_resources", lambda bundles: requests.append(bundles))
    patch.setattr(cluster.time, "sleep", lambda _: None)
    return requests


def test_missing_resources_are_requested_until_available(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = grow_cluster(monkeypatch, 0, 0, 1, 2)
    ATTACHED.wait_for_pools({"embed": Pool(min=2, max=2, gpus=1, cpus=0.5)}, wait_s=60)
    assert requests == [[{"GPU": 1, "CPU": 0.5}] * 2] * 3 + [[]]


def test_available_resources_are_not_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = grow_cluster(monkeypatch, 4)
    ATTACHED.wait_for_pools({"embed": Pool(gpus=1)}, wait_s=60)
    assert requests == []


def test_request_is_withdrawn_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = grow_cluster(monkeypatch, 1)
    with pytest.raises(ClusterError, match=r"2 GPU needed, 1 available, after 0\.01 s.*wait_for_gpus_s"):
        ATTACHED.wait_for_pools({"embed": Pool(min=2, max=2, gpus=1)}, wait_s=0.01)
    assert requests[-1] == []
