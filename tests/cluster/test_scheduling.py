"""The manifests keep the head alive, let workers come and go, and limit what a pod takes from its node."""

import pytest

from tests.helpers.cluster_folder import Pod, Tree, objects_of_kind, pods, ray_clusters

RAY_PODS = [pod for pod in pods() if pod.ray]
HEADS = [pod for pod in RAY_PODS if pod.name.endswith("head")]
WORKERS = [pod for pod in RAY_PODS if pod not in HEADS]
SPOT_LABELS = {
    ("karpenter.sh/capacity-type", "spot"),
    ("eks.amazonaws.com/capacityType", "SPOT"),
    ("cloud.google.com/gke-spot", "true"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
}
"""Labels of spot nodes: Karpenter, EKS, GKE, AKS."""
GIB = {"Gi": 1.0, "Mi": 1 / 1024}


def gib(amount: str) -> float:
    return float(amount[:-2]) * GIB[amount[-2:]]


def expressions(terms: list[Tree], operator: str) -> set[tuple[str, str]]:
    """Return key and value of each expression of some node selector terms, which all have one operator."""
    found = [expression for term in terms for expression in term["matchExpressions"]]
    assert {expression["operator"] for expression in found} == {operator}
    return {(expression["key"], value) for expression in found for value in expression["values"]}


@pytest.mark.parametrize("pod", HEADS, ids=lambda pod: pod.name)
def test_head_is_never_moved_or_on_spot(pod: Pod) -> None:
    assert pod.template["metadata"]["annotations"] == {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }
    required = pod.spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert len(required["nodeSelectorTerms"]) == 1, "terms are alternatives: a second one would allow spot nodes"
    assert expressions(required["nodeSelectorTerms"], "NotIn") == SPOT_LABELS
    assert "tolerations" not in pod.spec


@pytest.mark.parametrize("pod", WORKERS, ids=lambda pod: pod.name)
def test_workers_prefer_spot_and_fall_back(pod: Pod) -> None:
    affinity = pod.spec["affinity"]["nodeAffinity"]
    assert affinity.keys() == {"preferredDuringSchedulingIgnoredDuringExecution"}
    [*preferred] = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
    assert expressions([item["preference"] for item in preferred], "In") == SPOT_LABELS
    tolerated = {item["key"] for item in pod.spec["tolerations"]}
    assert {"cloud.google.com/gke-spot", "kubernetes.azure.com/scalesetpriority"} <= tolerated
    assert "annotations" not in pod.template["metadata"], "a worker may be lost at any time"


@pytest.mark.parametrize("kind", ["RayCluster", "RayJob"])
def test_gpu_workers_select_a_product(kind: str) -> None:
    groups = {group["groupName"]: group["template"]["spec"] for group in ray_clusters()[kind]["workerGroupSpecs"]}
    assert groups["gpu"]["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-A10G"}
    assert "nodeSelector" not in groups["cpu"]


def test_head_has_priority_over_workers() -> None:
    values = {tree["metadata"]["name"]: tree["value"] for tree in objects_of_kind("PriorityClass")}
    assert values["amia-head"] > values["amia-worker"] > 0
    assert all(tree["preemptionPolicy"] == "Never" for tree in objects_of_kind("PriorityClass"))
    assert all("globalDefault" not in tree for tree in objects_of_kind("PriorityClass"))
    for pod in RAY_PODS:
        assert pod.spec["priorityClassName"] == ("amia-head" if pod in HEADS else "amia-worker")


@pytest.mark.parametrize("pod", pods(), ids=lambda pod: pod.name)
def test_disk_is_limited(pod: Pod) -> None:
    volumes = [volume["emptyDir"] for volume in pod.spec["volumes"] if "emptyDir" in volume]
    assert volumes
    limits = sum(gib(container["resources"]["limits"]["ephemeral-storage"]) for container in pod.spec["containers"])
    assert sum(gib(volume["sizeLimit"]) for volume in volumes) <= limits
    for container in pod.spec["containers"]:
        resources = container["resources"]
        assert resources["requests"]["ephemeral-storage"] == resources["limits"]["ephemeral-storage"]
