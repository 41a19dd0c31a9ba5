"""Manifests are validated against the schemas that a cluster uses.

The environment variable AMIA_SHARED_SCHEMAS names the folder of KubeRay's schemas (`RayCluster.v1.json` and
`RayJob.v1.json`, the `openAPIV3Schema` of its CRDs). They contain Kubernetes' schemas of pods, of claims and of the
rules of network policies. A cluster silently drops unknown fields; here they are errors.
"""

import copy
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from ray_jobs.jobs.submit import ENV_VARS
from tests.helpers.cluster_folder import KUBERAY, Tree, documents, objects_of_kind, ray_clusters

SCHEMAS = os.environ.get("AMIA_SHARED_SCHEMAS")
with_schemas = pytest.mark.skipif(
    SCHEMAS is None, reason="AMIA_SHARED_SCHEMAS is not set to a folder of KubeRay's schemas"
)
KUBERAY_KINDS = ("RayCluster", "RayJob")
METADATA = {"name", "namespace", "labels", "annotations"}


def schema(kind: str) -> Tree:
    tree: Tree = json.loads((Path(SCHEMAS or "") / f"{kind}.v1.json").read_text())
    return strict(tree)


def strict(tree: Any) -> Any:
    """Forbid unknown properties in every object of a schema, except where it explicitly allows them."""
    if isinstance(tree, list):
        return [strict(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    closed = {name: strict(value) for name, value in tree.items()}
    if isinstance(tree.get("properties"), dict) and not tree.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed


def validation_errors(value: Any, schema_tree: Tree) -> list[str]:
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in Draft202012Validator(schema_tree).iter_errors(value)
    ]


def subschema(tree: Tree, *path: str) -> Tree:
    """Return the schema at a path of properties within a schema; `[]` stands for the items of a list."""
    for name in path:
        tree = tree["items"] if name == "[]" else tree["properties"][name]
    return tree


@with_schemas
@pytest.mark.parametrize("kind", KUBERAY_KINDS)
def test_kuberay_objects_are_valid(kind: str) -> None:
    [tree] = objects_of_kind(kind)
    assert validation_errors(tree, schema(kind)) == []


Misspell = Callable[[Tree], None]
MISSPELLINGS: list[Misspell] = [
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
@pytest.mark.parametrize("misspell", MISSPELLINGS)
def test_detects_misspelled_fields(misspell: Misspell) -> None:
    [tree] = copy.deepcopy(objects_of_kind("RayCluster"))
    misspell(tree["spec"])
    assert validation_errors(tree, schema("RayCluster"))


@with_schemas
def test_kubernetes_objects_are_valid() -> None:
    cluster = subschema(schema("RayCluster"), "spec")
    pod = subschema(cluster, "headGroupSpec", "template")
    claim = subschema(pod, "spec", "volumes", "[]", "ephemeral", "volumeClaimTemplate", "spec")
    [volume], [job] = objects_of_kind("PersistentVolumeClaim"), objects_of_kind("Job")
    assert validation_errors(volume["spec"], claim) == []
    assert validation_errors(job["spec"]["template"], pod) == []
    rules = subschema(cluster, "networkPolicy", "head")
    for policy in objects_of_kind("NetworkPolicy"):
        spec = policy["spec"]
        assert validation_errors(spec.get("ingress", []), subschema(rules, "ingressRules")) == []
        assert validation_errors(spec.get("egress", []), subschema(rules, "egressRules")) == []
        assert (
            validation_errors(spec["podSelector"], subschema(rules, "ingressRules", "[]", "from", "[]", "podSelector"))
            == []
        )


TOP_LEVEL_FIELDS = {
    "Namespace": ("v1", {"metadata"}),
    "PriorityClass": ("scheduling.k8s.io/v1", {"metadata", "value", "preemptionPolicy", "description"}),
    "ServiceAccount": ("v1", {"metadata", "automountServiceAccountToken"}),
    "PersistentVolumeClaim": ("v1", {"metadata", "spec"}),
    "Job": ("batch/v1", {"metadata", "spec"}),
    "NetworkPolicy": ("networking.k8s.io/v1", {"metadata", "spec"}),
    "RayCluster": ("ray.io/v1", {"metadata", "spec"}),
    "RayJob": ("ray.io/v1", {"metadata", "spec"}),
}
SPEC_FIELDS = {
    "Job": {"backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished", "template"},
    "NetworkPolicy": {"podSelector", "policyTypes", "ingress", "egress"},
    "PersistentVolumeClaim": {"accessModes", "storageClassName", "resources"},
}


@pytest.mark.parametrize("tree", documents(), ids=lambda tree: f"{tree['kind']}-{tree['metadata']['name']}")
def test_objects_have_known_kinds_and_fields(tree: Tree) -> None:
    version, fields = TOP_LEVEL_FIELDS[tree["kind"]]
    assert tree["apiVersion"] == version
    assert tree.keys() - {"apiVersion", "kind"} <= fields
    assert tree["metadata"].keys() <= METADATA
    assert tree["kind"] in {"Namespace", "PriorityClass"} or tree["metadata"]["namespace"] == "amia"
    assert tree.get("spec", {}).keys() <= SPEC_FIELDS.get(tree["kind"], tree.get("spec", {}).keys())


def test_number_of_objects_of_each_kind() -> None:
    repeated = ["NetworkPolicy", "NetworkPolicy", "PriorityClass"]
    assert sorted(tree["kind"] for tree in documents()) == sorted([*TOP_LEVEL_FIELDS, *repeated])
    assert all(file.read_text().startswith("#") for file in KUBERAY.glob("*.yaml")), "each file starts with a comment"


def test_job_uses_the_permanent_cluster_spec() -> None:
    clusters = ray_clusters()
    assert clusters["RayJob"] == clusters["RayCluster"]


def test_job_removes_its_cluster_and_repeats_no_failure() -> None:
    [job] = objects_of_kind("RayJob")
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    assert job["spec"]["backoffLimit"] == 0
    assert "activeDeadlineSeconds" not in job["spec"], "a long job is healthy"


def test_stopped_job_has_the_grace_period_of_amia_submit() -> None:
    [job] = objects_of_kind("RayJob")
    assert yaml.safe_load(job["spec"]["runtimeEnvYAML"]) == {"env_vars": ENV_VARS}


def test_job_names_a_queue() -> None:
    [job] = objects_of_kind("RayJob")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "amia"
    assert job["metadata"]["annotations"] == {"kueue.x-k8s.io/elastic-job": "true"}, "its cluster autoscales"


def test_referenced_objects_exist() -> None:
    claims = {tree["metadata"]["name"] for tree in objects_of_kind("PersistentVolumeClaim")}
    accounts = {tree["metadata"]["name"] for tree in objects_of_kind("ServiceAccount")}
    priorities = {tree["metadata"]["name"] for tree in objects_of_kind("PriorityClass")}
    text = re.sub(r"\s#.*", "", "\n".join(file.read_text() for file in KUBERAY.glob("*.yaml")))
    for word, known in (
        ("claimName: ", claims),
        ("serviceAccountName: ", accounts),
        ("priorityClassName: ", priorities),
    ):
        used = {line.partition(word)[2].split(",")[0].rstrip("}").strip() for line in text.splitlines() if word in line}
        assert used == known
