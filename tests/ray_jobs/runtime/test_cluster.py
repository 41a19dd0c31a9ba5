"""How pools are fitted to a machine of one's own, and left as they are on a cluster."""

import pytest

from amia.errors import ClusterError
from ray_jobs.runtime import cluster as machines
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.settings.job import Pool, Pools

OWN, ATTACHED = Cluster(is_local=True, autoscales=False), Cluster(is_local=False, autoscales=False)


def there(patch: pytest.MonkeyPatch, cpus: float, gpus: float = 0.0) -> None:
    """Let the machine be one with so many cores and GPUs."""
    patch.setattr(machines, "resources", lambda: {"CPU": cpus} | ({"GPU": gpus} if gpus else {}))


@pytest.mark.parametrize("cores", [1, 2, 8, 64])
def test_the_default_pools_fit_any_machine_without_a_gpu(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, cores)
    pools = Pools()
    for names in (("fetch",), ("embed",), ("embed", "score"), ("synthesize", "mix")):
        fitted = OWN.fit_pools({name: getattr(pools, name) for name in names})
        assert sum(pool.min * pool.cpus for pool in fitted.values()) <= cores + 1e-9
        assert not any(pool.gpus for pool in fitted.values())
        OWN.wait_for_pools(fitted, wait_s=0)


def test_on_a_cpu_a_model_that_takes_all_cores_has_one_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, 8)
    assert OWN.fit_pools({"embed": Pool(max=64, gpus=1)})["embed"].max == 1
    assert OWN.fit_pools({"embed": Pool(max=64, gpus=1, threads=2)})["embed"].max == 4
    assert OWN.fit_pools({"embed": Pool(max=64, gpus=1, threads=16)})["embed"].max == 1


def test_on_cpus_all_of_a_models_actors_are_there_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ray Data keeps cores for the other pool, and of two would never let the model have the second.
    there(monkeypatch, 2)
    asked = {"synthesize": Pool(max=64, gpus=1, threads=1), "mix": Pool(max=64, cpus=0.5)}
    fitted = OWN.fit_pools(asked, shards=9)
    assert [(pool.min, pool.max) for pool in fitted.values()] == [(2, 2), (1, 4)]
    assert sum(pool.min * pool.cpus for pool in fitted.values()) <= 2
    OWN.wait_for_pools(fitted, wait_s=0)
    assert OWN.fit_pools(asked, shards=1)["synthesize"].min == 1
    there(monkeypatch, 8, gpus=2)
    assert OWN.fit_pools(asked, shards=9)["synthesize"].min == 1, "GPUs are taken as shards wait"


def test_a_gpu_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, 8, gpus=1)
    fitted = OWN.fit_pools({"embed": Pool(max=64, gpus=1), "score": Pool(max=64, cpus=0.5)})
    assert (fitted["embed"].gpus, fitted["score"].gpus) == (1, 0)


def test_smallest_pools_larger_than_the_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, 1)
    asked = {"synthesize": Pool(min=4, max=8, cpus=2), "mix": Pool(min=2, max=2, cpus=1)}
    fitted = OWN.fit_pools(asked)
    assert [pool.min for pool in fitted.values()] == [4, 2]
    assert sum(pool.min * pool.cpus for pool in fitted.values()) <= 1
    assert all(pool.max >= pool.min for pool in fitted.values())
    OWN.wait_for_pools(fitted, wait_s=0)


def test_more_gpus_than_the_machine_has_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, 8, gpus=1)
    with pytest.raises(ClusterError, match="2 GPU needed, 1 there"):
        OWN.wait_for_pools(OWN.fit_pools({"embed": Pool(min=2, max=2, gpus=1)}), wait_s=60)


def test_on_a_cluster_the_settings_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, 2)
    asked = {"embed": Pool(min=3, max=64, gpus=1)}
    assert ATTACHED.fit_pools(asked) == asked


def test_a_cluster_that_scales_is_left_to_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, 0)
    scales = Cluster(is_local=False, autoscales=True)
    scales.wait_for_pools({"embed": Pool(gpus=1)}, wait_s=0)
    assert scales.wait_s(None) == machines.WAIT_AUTOSCALED_S
    assert ATTACHED.wait_s(None) == machines.WAIT_S
    assert scales.wait_s(2.0) == 2.0


def growing(patch: pytest.MonkeyPatch, *sizes: float) -> list[list[dict[str, float]]]:
    """Let the cluster have so many GPUs each time that it is looked at; what it is asked for."""
    left, asked = list(sizes), []
    patch.setattr(machines, "resources", lambda: {"CPU": 8.0, "GPU": left.pop(0) if len(left) > 1 else left[0]})
    patch.setattr(machines, "request_resources", lambda bundles: asked.append(bundles))
    patch.setattr(machines.time, "sleep", lambda _: None)
    return asked


def test_a_cluster_is_asked_for_what_is_missing_until_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = growing(monkeypatch, 0, 0, 1, 2)
    ATTACHED.wait_for_pools({"embed": Pool(min=2, max=2, gpus=1, cpus=0.5)}, wait_s=60)
    assert asked == [[{"GPU": 1, "CPU": 0.5}] * 2] * 3 + [[]]


def test_a_cluster_that_has_everything_is_asked_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = growing(monkeypatch, 4)
    ATTACHED.wait_for_pools({"embed": Pool(gpus=1)}, wait_s=60)
    assert asked == []


def test_what_does_not_come_is_not_asked_for_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = growing(monkeypatch, 1)
    with pytest.raises(ClusterError, match=r"2 GPU needed, 1 there, after 0\.01 s.*wait_for_gpus_s"):
        ATTACHED.wait_for_pools({"embed": Pool(min=2, max=2, gpus=1)}, wait_s=0.01)
    assert asked[-1] == []
