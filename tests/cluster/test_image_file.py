"""The Dockerfile, read as text: what it begins from, what enters it, who it runs as. Nothing here builds an image."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.helpers.cluster_folder import CLUSTER, IMAGE_PRESETS, ROOT
from tests.helpers.command_lines import parsed

INSTRUCTIONS = [
    (match[1], re.sub(r"\s*\\\n\s*", " ", match[2]).strip())
    for match in re.finditer(
        r"^([A-Z]+) ((?:[^\n\\]|\\\n|\\.)+)",
        re.sub(r"^#.*\n", "", (CLUSTER / "Dockerfile").read_text(), flags=re.M),
        re.M,
    )
]
IGNORED = [
    line
    for line in (CLUSTER / "Dockerfile.dockerignore").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]


def told(instruction: str) -> list[str]:
    return [words for name, words in INSTRUCTIONS if name == instruction]


def in_context(path: str) -> bool:
    """Whether `docker build` sees a file: the last pattern that matches it or a folder above it decides."""
    steps = [path, *(str(parent) for parent in Path(path).parents)][:-1]
    seen = True
    for pattern in IGNORED:
        bare = pattern.removeprefix("!")
        names = [Path(step).name for step in steps] if bare.startswith("**/") else steps
        if bare == "*" or any(fnmatch(name, bare.removeprefix("**/")) for name in names):
            seen = pattern.startswith("!")
    return seen


def test_the_base_image_is_pinned() -> None:
    bases = [words.split()[0] for words in told("FROM")]
    assert len(bases) == 1
    assert re.fullmatch(r"nvidia/cuda:\d+\.\d+\.\d+-base-ubuntu\d+\.\d+(@sha256:[0-9a-f]{64})?", bases[0])


def test_it_runs_as_the_user_of_the_manifests_and_never_gets_back_to_root() -> None:
    assert [words for name, words in INSTRUCTIONS if name == "USER"] == ["65532:65532"]
    after = [name for name, _ in INSTRUCTIONS][[name for name, _ in INSTRUCTIONS].index("USER") + 1 :]
    assert after == ["WORKDIR", "CMD"]


def test_what_is_installed_is_pinned_and_checked() -> None:
    assert re.search(r"pip install --no-cache-dir uv==\d+\.\d+\.\d+$", told("RUN")[0])
    installed = [words for words in told("RUN") if "uv pip install" in words]
    assert len(installed) == 2
    assert all("--constraint constraints.txt" in words for words in installed)
    assert "torch.version.cuda" in installed[0]
    assert "--python 3.11" in " ".join(told("RUN"))
    assert re.search(r"^torch==\d", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert not re.search(r"curl|wget http|\| *sh", " ".join(told("RUN")))


def test_cuda_of_base_and_torch_are_one() -> None:
    [base] = re.findall(r"nvidia/cuda:(\d+\.\d+)\.", " ".join(told("FROM")))
    [torch] = re.findall(r"torch.version.cuda == '([\d.]+)'", " ".join(told("RUN")))
    assert base == torch


def test_weights_are_on_a_volume_and_a_token_is_wanted() -> None:
    env = dict(re.findall(r"(\w+)=(\S+)", " ".join(told("ENV"))))
    assert env["HF_HOME"] == told("VOLUME")[0] == "/models"
    assert env["RAY_AUTH_MODE"] == "token"
    assert env["RAY_USAGE_STATS_ENABLED"] == "0"
    assert not [name for name in env if re.search("KEY|SECRET|PASSWORD|TOKEN$", name)]
    assert told("ARG") == [], "nothing can be slipped into a layer"


def test_what_is_copied_is_there_and_enters_the_build() -> None:
    for words in told("COPY"):
        for source in words.split()[:-1]:
            assert (ROOT / source).exists()
            assert in_context(source), source
    assert in_context("amia/demo/weights/clip/model.safetensors")
    assert in_context("ray_jobs/settings/presets/demo.yaml")
    assert f"{told('WORKDIR')[0]}/presets" == IMAGE_PRESETS
    assert any(words.split() == ["cluster/presets", "./presets"] for words in told("COPY"))


@pytest.mark.parametrize(
    "path",
    [
        *(".git/config", ".venv/bin/python", ".env", "runs/mine/posts/x.parquet", "posts/train.txt", "id_rsa"),
        *("amia/.env", "amia/__pycache__/x.pyc", "my-cluster/rayjob.yaml", "tests/conftest.py", "cluster/Dockerfile"),
    ],
)
def test_nothing_else_enters(path: str) -> None:
    assert not in_context(path)


def test_its_command_is_one_of_ours() -> None:
    [command] = told("CMD")
    assert parsed(re.findall(r'"([^"]+)"', command)) == ["amia --help"]


@pytest.mark.slow  # builds a wheel
def test_the_package_builds_from_what_enters_and_holds_presets_and_weights(tmp_path: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path in filter(in_context, tracked.splitlines()):
        target = tmp_path / "context" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / path).read_bytes())
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "."]
    subprocess.run([*wheel, "--wheel-dir", tmp_path], cwd=tmp_path / "context", check=True)
    [built] = tmp_path.glob("*.whl")
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", built], capture_output=True, text=True, check=True
    ).stdout
    for name in (
        "amia/demo/weights/clip/model.safetensors",
        "ray_jobs/settings/presets/demo.yaml",
        "amia/presets/demo.yaml",
    ):
        assert name in listed
