"""Every manifest against the schema that the cluster will hold it to.

KubeRay's schemas are read where the environment variable AMIA_SHARED_SCHEMAS says that they lie (`RayCluster.v1.json`
and `RayJob.v1.json`, the `openAPIV3Schema` of its CRDs); they contain Kubernetes' own schemas of pods, of claims and of
the rules of a network policy. A cluster drops unknown fields in silence; here they are errors.
"""

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.helpers.cluster_folder import KUBERAY, Tree, documents, of_kind, ray_clusters

SCHEMAS = os.environ.get("AMIA_SHARED_SCHEMAS")
with_schemas = pytest.mark.skipif(SCHEMAS is None, reason="AMIA_SHARED_SCHEMAS names no folder of KubeRay's schemas")
KUBERAY_KINDS = ("RayCluster", "RayJob")
METADATA = {"name", "namespace", "labels", "annotations"}


def schema(kind: str) -> Tree:
    tree: Tree = json.loads((Path(SCHEMAS or "") / f"{kind}.v1.json").read_text())
    return strict(tree)


def strict(tree: Any) -> Any:
    """The schema with every object closed that lists its properties, but for those that are open by their own word."""
    if isinstance(tree, list):
        return [strict(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    closed = {name: strict(each) for name, each in tree.items()}
    if isinstance(tree.get("properties"), dict) and not tree.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed


def complaints(value: Any, against: Tree) -> list[str]:
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in Draft202012Validator(against).iter_errors(value)
    ]


def part(tree: Tree, *path: str) -> Tree:
    """A schema inside a schema: the properties of that path, `[]` for the items of a list."""
    for name in path:
        tree = tree["items"] if name == "[]" else tree["properties"][name]
    return tree


@with_schemas
@pytest.mark.parametrize("kind", KUBERAY_KINDS)
def test_kuberays_kinds(kind: str) -> None:
    [tree] = of_kind(kind)
    assert complaints(tree, schema(kind)) == []


Misspell = Callable[[Tree], None]
MISSPELT: list[Misspell] = [
    lambda spec: spec.update(authOption=spec.pop("authOptions")),
    lambda spec: spec["authOptions"].update(mode="tokens"),
    lambda spec: spec["headGroupSpec"]["template"]["spec"].update(automountServiceAccountTokens=False),
    lambda spec: spec["workerGroupSpecs"][0].update(minReplica=0),
    lambda spec: spec["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["securityContext"].update(
        readOnlyRootFileSystem=True
    ),
    lambda spec: spec["headGroupSpec"].pop("template"),
    lambda spec: spec["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}),
]


@with_schemas
@pytest.mark.parametrize("misspell", MISSPELT)
def test_the_check_sees_what_is_misspelt(misspell: Misspell) -> None:
    [tree] = copy.deepcopy(of_kind("RayCluster"))
    misspell(tree["spec"])
    assert complaints(tree, schema("RayCluster"))


@with_schemas
def test_kubernetes_own_kinds() -> None:
    cluster = part(schema("RayCluster"), "spec")
    pod = part(cluster, "headGroupSpec", "template")
    claim = part(pod, "spec", "volumes", "[]", "ephemeral", "volumeClaimTemplate", "spec")
    [volume], [job] = of_kind("PersistentVolumeClaim"), of_kind("Job")
    assert complaints(volume["spec"], claim) == []
    assert complaints(job["spec"]["template"], pod) == []
    rules = part(cluster, "networkPolicy", "head")
    for policy in of_kind("NetworkPolicy"):
        spec = policy["spec"]
        assert complaints(spec.get("ingress", []), part(rules, "ingressRules")) == []
        assert complaints(spec.get("egress", []), part(rules, "egressRules")) == []
        assert complaints(spec["podSelector"], part(rules, "ingressRules", "[]", "from", "[]", "podSelector")) == []


TOP = {
    "Namespace": ("v1", {"metadata"}),
    "ServiceAccount": ("v1", {"metadata", "automountServiceAccountToken"}),
    "PersistentVolumeClaim": ("v1", {"metadata", "spec"}),
    "Job": ("batch/v1", {"metadata", "spec"}),
    "NetworkPolicy": ("networking.k8s.io/v1", {"metadata", "spec"}),
    "RayCluster": ("ray.io/v1", {"metadata", "spec"}),
    "RayJob": ("ray.io/v1", {"metadata", "spec"}),
}
SPEC = {
    "Job": {"backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished", "template"},
    "NetworkPolicy": {"podSelector", "policyTypes", "ingress", "egress"},
    "PersistentVolumeClaim": {"accessModes", "storageClassName", "resources"},
}


@pytest.mark.parametrize("tree", documents(), ids=lambda tree: f"{tree['kind']}-{tree['metadata']['name']}")
def test_every_object_is_of_a_known_kind_in_the_namespace_and_has_known_fields(tree: Tree) -> None:
    version, fields = TOP[tree["kind"]]
    assert tree["apiVersion"] == version
    assert tree.keys() - {"apiVersion", "kind"} <= fields
    assert tree["metadata"].keys() <= METADATA
    assert tree["kind"] == "Namespace" or tree["metadata"]["namespace"] == "amia"
    assert tree.get("spec", {}).keys() <= SPEC.get(tree["kind"], tree.get("spec", {}).keys())


def test_there_is_one_object_of_each_kind_and_three_policies() -> None:
    assert sorted(tree["kind"] for tree in documents()) == sorted([*TOP, "NetworkPolicy", "NetworkPolicy"])
    assert all(file.read_text().startswith("#") for file in KUBERAY.glob("*.yaml")), "each says what it is for"


def test_the_jobs_cluster_is_the_one_that_stays() -> None:
    clusters = ray_clusters()
    assert clusters["RayJob"] == clusters["RayCluster"]


def test_a_job_ends_its_cluster_and_is_tried_again_a_limited_number_of_times() -> None:
    [job] = of_kind("RayJob")
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    assert 0 < job["spec"]["backoffLimit"] <= 5
    assert job["spec"]["activeDeadlineSeconds"] > 3600


def test_names_that_objects_call_each_other_by_are_there() -> None:
    claims = {tree["metadata"]["name"] for tree in of_kind("PersistentVolumeClaim")}
    accounts = {tree["metadata"]["name"] for tree in of_kind("ServiceAccount")}
    text = "\n".join(file.read_text() for file in KUBERAY.glob("*.yaml"))
    for word, known in (("claimName: ", claims), ("serviceAccountName: ", accounts)):
        used = {line.partition(word)[2].split(",")[0].rstrip("}").strip() for line in text.splitlines() if word in line}
        assert used == known
