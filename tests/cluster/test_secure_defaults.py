"""The manifests enforce each item of the section "Access control" of `cluster/README.md`."""

import re
from pathlib import Path

import pytest

from tests.helpers.cluster_folder import CLUSTER, Pod, documents, objects_of_kind, pods, ray_clusters

TEXTS = sorted(file for file in CLUSTER.rglob("*") if file.is_file() and file.suffix != ".md")
TOKEN = {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": {"name": "amia-ray-token", "key": "auth_token"}}}
DASHBOARD = 8265


@pytest.mark.parametrize("pod", pods(), ids=lambda pod: pod.name)
def test_pods_are_unprivileged(pod: Pod) -> None:
    account = pod.spec["securityContext"]
    assert account["runAsNonRoot"] is True
    assert account["runAsUser"] == account["runAsGroup"] == 65532
    assert account["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod.spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys()
    assert all("hostPath" not in volume for volume in pod.spec["volumes"])
    for container in pod.spec["containers"]:
        check_locked(container["securityContext"])


@pytest.mark.parametrize("pod", pods(), ids=lambda pod: pod.name)
def test_pods_have_resource_limits(pod: Pod) -> None:
    for container in pod.spec["containers"]:
        limits, requests = container["resources"]["limits"], container["resources"]["requests"]
        assert {"cpu", "memory", "ephemeral-storage"} <= limits.keys()
        assert limits.keys() == requests.keys()
        names = {port["name"] for port in container.get("ports", [])}
        assert names == ({"metrics"} if pod.ray else set()) or pod.name.endswith("head")


@pytest.mark.parametrize("kind", ["RayCluster", "RayJob"])
def test_only_the_autoscaler_has_a_kubernetes_token(kind: str) -> None:
    spec = ray_clusters()[kind]
    autoscaler = spec["autoscalerOptions"]
    check_locked(autoscaler["securityContext"])
    assert {"cpu", "memory", "ephemeral-storage"} == autoscaler["resources"]["limits"].keys()
    mount_path = "/var/run/secrets/kubernetes.io/serviceaccount"
    [mounted] = [mount["name"] for mount in autoscaler["volumeMounts"] if mount["mountPath"] == mount_path]
    head = spec["headGroupSpec"]["template"]["spec"]
    [volume] = [volume for volume in head["volumes"] if volume["name"] == mounted]
    assert {kind for source in volume["projected"]["sources"] for kind in source} == {
        *("serviceAccountToken", "configMap", "downwardAPI")
    }
    assert all(mount["name"] != mounted for mount in head["containers"][0]["volumeMounts"])


def check_locked(context: dict[str, object]) -> None:
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"] is True
    assert "privileged" not in context


@pytest.mark.promise(36)
@pytest.mark.parametrize("pod", [pod for pod in pods() if pod.name != "model cache"], ids=lambda pod: pod.name)
def test_ray_nodes_and_submitter_require_the_token(pod: Pod) -> None:
    for container in pod.spec["containers"]:
        env = {variable["name"]: variable for variable in container["env"]}
        assert env["RAY_AUTH_MODE"]["value"] == "token"
        assert env["RAY_AUTH_TOKEN"] == TOKEN


@pytest.mark.parametrize("kind", ["RayCluster", "RayJob"])
def test_operator_and_autoscaler_use_the_token(kind: str) -> None:
    assert ray_clusters()[kind]["authOptions"] == {"mode": "token", "secretName": "amia-ray-token"}


def test_models_are_read_only_for_ray_pods() -> None:
    for pod in pods():
        volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
        mounts = {mount["name"]: mount for mount in pod.spec["containers"][0]["volumeMounts"]}
        assert ("models" in mounts) == (pod.name != "submitter")
        if pod.ray:
            assert volumes["models"]["persistentVolumeClaim"]["readOnly"] is True
            assert mounts["models"]["readOnly"] is True


@pytest.mark.promise(36)
@pytest.mark.parametrize("kind", ["RayCluster", "RayJob"])
def test_head_exposes_only_gcs_dashboard_and_metrics(kind: str) -> None:
    head = ray_clusters()[kind]["headGroupSpec"]
    assert head["serviceType"] == "ClusterIP"
    assert head["enableIngress"] is False
    ports = {port["containerPort"] for port in head["template"]["spec"]["containers"][0]["ports"]}
    assert ports == {6379, DASHBOARD, 8080}


def test_namespace_enforces_restricted_pods() -> None:
    [namespace] = objects_of_kind("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def matches(selector: dict[str, object], labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}
    required = selector.get("matchLabels", {})
    assert isinstance(required, dict)
    return required.items() <= labels.items()


def reaches(source: Pod, target: Pod, port: int) -> bool:
    """Return whether the policies allow a pod to connect to a port of another pod of the namespace.

    Any policy that selects a pod denies its traffic by default; any rule that matches allows it.
    """
    source_labels, target_labels = source.template["metadata"]["labels"], target.template["metadata"]["labels"]
    policies = [policy["spec"] for policy in objects_of_kind("NetworkPolicy")]
    ingress = [
        policy
        for policy in policies
        if "Ingress" in policy["policyTypes"] and matches(policy["podSelector"], target_labels)
    ]
    egress = [
        policy
        for policy in policies
        if "Egress" in policy["policyTypes"] and matches(policy["podSelector"], source_labels)
    ]
    assert ingress, "no policy restricts incoming traffic"
    assert egress, "no policy restricts outgoing traffic"

    def is_allowed(rules: list[dict[str, list[dict[str, object]]]], side: str, labels: dict[str, str]) -> bool:
        return any(
            any(
                "podSelector" in peer and "namespaceSelector" not in peer and matches(peer["podSelector"], labels)
                for peer in rule[side]
            )
            and ("ports" not in rule or port in [item["port"] for item in rule["ports"]])
            for rule in rules
        )

    return any(is_allowed(policy.get("ingress", []), "from", source_labels) for policy in ingress) and any(
        is_allowed(policy.get("egress", []), "to", target_labels) for policy in egress
    )


@pytest.mark.promise(36)
def test_allowed_connections_between_pods() -> None:
    all_pods = pods()
    for target in all_pods:
        for source in all_pods:
            for port in (DASHBOARD, 6379, 10001, 52365):
                allowed = target.ray and (source.ray or (source.name == "submitter" and port == DASHBOARD))
                assert reaches(source, target, port) == allowed, (source.name, target.name, port)


def test_only_operator_and_prometheus_connect_from_outside() -> None:
    foreign = [
        (peer["namespaceSelector"], peer["podSelector"], rule["ports"])
        for policy in objects_of_kind("NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        for peer in rule["from"]
        if "namespaceSelector" in peer or "ipBlock" in peer
    ]
    assert foreign == [
        (
            {"matchLabels": {"kubernetes.io/metadata.name": "kuberay-system"}},
            {"matchLabels": {"app.kubernetes.io/component": "kuberay-operator"}},
            [{"protocol": "TCP", "port": DASHBOARD}],
        ),
        (
            {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
            {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
            [{"protocol": "TCP", "port": 8080}],
        ),
    ]


def test_pods_cannot_reach_the_metadata_service() -> None:
    blocks = [
        (peer["ipBlock"], {port["port"] for port in rule["ports"]})
        for policy in objects_of_kind("NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert blocks == [
        ({"cidr": "169.254.20.10/32"}, {53}),
        ({"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}, {443, 6443}),
    ]


def test_images_are_pinned_and_no_secret_is_stored() -> None:
    images = re.findall(r"image: (?:&\w+ )?(\S+:\S+)", "\n".join(file.read_text() for file in TEXTS))
    assert len(images) >= 4
    assert {image.rpartition(":")[2] for image in images} == {"0.1.0"}
    assert all(tree["kind"] != "Secret" for tree in documents())
    for file in TEXTS:
        text = file.read_text()
        assert "privileged" not in text, file
        assert not re.search(r"AKIA[0-9A-Z]{16}|aws_secret|BEGIN [A-Z ]*PRIVATE KEY|hf_[A-Za-z0-9]{20}", text), file
        assert not re.search(r"(TOKEN|PASSWORD|SECRET|auth_token)\s*[:=]\s*['\"]?[0-9a-zA-Z]{8}", text), file


@pytest.mark.promise(36)
def test_only_restricted_heads_listen_on_all_addresses() -> None:
    assert sorted(file.name for file in TEXTS if contains(r"0\.0\.0\.0(?!/0)", file)) == [
        "raycluster.yaml",
        "rayjob.yaml",
    ]


@pytest.mark.promise(36)
def test_ray_client_is_never_opened() -> None:
    assert [file.name for file in TEXTS if contains(r"\b10001\b|ray://", file)] == []


def contains(pattern: str, file: Path) -> bool:
    """Return whether a pattern occurs in a file outside of comments."""
    return re.search(rf"^[^#\n]*(?:{pattern})", file.read_text(), re.MULTILINE) is not None
