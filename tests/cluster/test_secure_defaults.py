"""What the manifests let nobody do: each line of `README.md`'s "What keeps others out", held."""

import re
from pathlib import Path

import pytest

from tests.helpers.cluster_folder import CLUSTER, Pod, documents, of_kind, pods, ray_clusters

TEXTS = sorted(file for file in CLUSTER.rglob("*") if file.is_file() and file.suffix != ".md")
TOKEN = {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": {"name": "amia-ray-token", "key": "auth_token"}}}
DASHBOARD = 8265


@pytest.mark.parametrize("pod", pods(), ids=lambda pod: pod.name)
def test_a_pod_is_nobody_and_may_do_nothing(pod: Pod) -> None:
    account = pod.spec["securityContext"]
    assert account["runAsNonRoot"] is True
    assert account["runAsUser"] == account["runAsGroup"] == 65532
    assert account["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod.spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys()
    assert all("hostPath" not in volume for volume in pod.spec["volumes"])
    for container in pod.spec["containers"]:
        locked(container["securityContext"])


@pytest.mark.parametrize("pod", pods(), ids=lambda pod: pod.name)
def test_a_pod_has_limits_and_asks_for_no_more(pod: Pod) -> None:
    for container in pod.spec["containers"]:
        limits, requests = container["resources"]["limits"], container["resources"]["requests"]
        assert {"cpu", "memory"} <= limits.keys()
        assert limits.keys() == requests.keys()
        assert container.get("ports", []) == [] or pod.name.endswith("head")


@pytest.mark.parametrize("kind", ["RayCluster", "RayJob"])
def test_the_autoscaler_too_and_it_alone_has_a_token_of_kubernetes(kind: str) -> None:
    spec = ray_clusters()[kind]
    autoscaler = spec["autoscalerOptions"]
    locked(autoscaler["securityContext"])
    assert {"cpu", "memory"} == autoscaler["resources"]["limits"].keys()
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    [mounted] = [mount["name"] for mount in autoscaler["volumeMounts"] if mount["mountPath"] == place]
    head = spec["headGroupSpec"]["template"]["spec"]
    [volume] = [volume for volume in head["volumes"] if volume["name"] == mounted]
    assert {kind for source in volume["projected"]["sources"] for kind in source} == {
        *("serviceAccountToken", "configMap", "downwardAPI")
    }
    assert all(mount["name"] != mounted for mount in head["containers"][0]["volumeMounts"])


def locked(context: dict[str, object]) -> None:
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"] is True
    assert "privileged" not in context


@pytest.mark.promise(36)
@pytest.mark.parametrize("pod", [pod for pod in pods() if pod.name != "model cache"], ids=lambda pod: pod.name)
def test_every_ray_node_and_the_submitter_want_the_token_of_the_secret(pod: Pod) -> None:
    for container in pod.spec["containers"]:
        env = {each["name"]: each for each in container["env"]}
        assert env["RAY_AUTH_MODE"]["value"] == "token"
        assert env["RAY_AUTH_TOKEN"] == TOKEN


@pytest.mark.parametrize("kind", ["RayCluster", "RayJob"])
def test_the_operator_and_the_autoscaler_have_the_same_token(kind: str) -> None:
    assert ray_clusters()[kind]["authOptions"] == {"mode": "token", "secretName": "amia-ray-token"}


def test_ray_pods_read_the_models_and_do_not_write_them() -> None:
    for pod in pods():
        volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
        mounts = {mount["name"]: mount for mount in pod.spec["containers"][0]["volumeMounts"]}
        assert ("models" in mounts) == (pod.name != "submitter")
        if pod.ray:
            assert volumes["models"]["persistentVolumeClaim"]["readOnly"] is True
            assert mounts["models"]["readOnly"] is True


@pytest.mark.promise(36)
@pytest.mark.parametrize("kind", ["RayCluster", "RayJob"])
def test_the_dashboard_and_nothing_else_is_served_inside_the_cluster_and_not_beyond(kind: str) -> None:
    head = ray_clusters()[kind]["headGroupSpec"]
    assert head["serviceType"] == "ClusterIP"
    assert head["enableIngress"] is False
    ports = {port["containerPort"] for port in head["template"]["spec"]["containers"][0]["ports"]}
    assert ports == {6379, DASHBOARD}


def test_the_namespace_refuses_what_is_less_strict() -> None:
    [namespace] = of_kind("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def selected(selector: dict[str, object], labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}
    wanted = selector.get("matchLabels", {})
    assert isinstance(wanted, dict)
    return wanted.items() <= labels.items()


def reaches(source: Pod, target: Pod, port: int) -> bool:
    """Whether the policies let a pod of the namespace reach another at a port: closed by one, opened by any."""
    labels, its = source.template["metadata"]["labels"], target.template["metadata"]["labels"]
    policies = [policy["spec"] for policy in of_kind("NetworkPolicy")]
    into = [each for each in policies if "Ingress" in each["policyTypes"] and selected(each["podSelector"], its)]
    out = [each for each in policies if "Egress" in each["policyTypes"] and selected(each["podSelector"], labels)]
    assert into, "no policy closes the pod"
    assert out, "no policy closes the pod"

    def opened(rules: list[dict[str, list[dict[str, object]]]], side: str, labels: dict[str, str]) -> bool:
        return any(
            any(
                "podSelector" in peer and "namespaceSelector" not in peer and selected(peer["podSelector"], labels)
                for peer in rule[side]
            )
            and ("ports" not in rule or port in [each["port"] for each in rule["ports"]])
            for rule in rules
        )

    return any(opened(each.get("ingress", []), "from", labels) for each in into) and any(
        opened(each.get("egress", []), "to", its) for each in out
    )


@pytest.mark.promise(36)
def test_who_reaches_whom() -> None:
    everybody = pods()
    for target in everybody:
        for source in everybody:
            for port in (DASHBOARD, 6379, 10001, 52365):
                allowed = target.ray and (source.ray or (source.name == "submitter" and port == DASHBOARD))
                assert reaches(source, target, port) == allowed, (source.name, target.name, port)


def test_from_elsewhere_the_operator_alone_comes_in_and_to_the_dashboard_alone() -> None:
    foreign = [
        (peer["namespaceSelector"], peer["podSelector"], rule["ports"])
        for policy in of_kind("NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        for peer in rule["from"]
        if "namespaceSelector" in peer or "ipBlock" in peer
    ]
    assert foreign == [
        (
            {"matchLabels": {"kubernetes.io/metadata.name": "kuberay-system"}},
            {"matchLabels": {"app.kubernetes.io/component": "kuberay-operator"}},
            [{"protocol": "TCP", "port": DASHBOARD}],
        )
    ]


def test_no_pod_asks_the_node_for_its_credentials() -> None:
    blocks = [
        (peer["ipBlock"], {port["port"] for port in rule["ports"]})
        for policy in of_kind("NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert blocks == [
        ({"cidr": "169.254.20.10/32"}, {53}),
        ({"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}, {443, 6443}),
    ]


def test_images_are_pinned_and_no_secret_is_written_down() -> None:
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
def test_nobody_listens_on_all_addresses_but_behind_the_policies_above() -> None:
    assert sorted(file.name for file in TEXTS if says(r"0\.0\.0\.0(?!/0)", file)) == ["raycluster.yaml", "rayjob.yaml"]


@pytest.mark.promise(36)
def test_ray_client_is_opened_nowhere() -> None:
    assert [file.name for file in TEXTS if says(r"\b10001\b|ray://", file)] == []


def says(pattern: str, file: Path) -> bool:
    """Whether a file says so outside its comments."""
    return re.search(rf"^[^#\n]*(?:{pattern})", file.read_text(), re.MULTILINE) is not None
