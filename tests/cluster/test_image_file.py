"""The Dockerfile, checked as text: base image, build context, user. No image is built."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.helpers.cluster_folder import CLUSTER, IMAGE_PRESETS, ROOT
from tests.helpers.command_lines import check_command

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


def arguments_of(instruction: str) -> list[str]:
    return [words for name, words in INSTRUCTIONS if name == instruction]


def in_context(path: str) -> bool:
    """Return whether a file is in the build context: the last pattern that matches it or a parent folder decides."""
    levels = [path, *(str(parent) for parent in Path(path).parents)][:-1]
    included = True
    for pattern in IGNORED:
        bare = pattern.removeprefix("!")
        names = [Path(level).name for level in levels] if bare.startswith("**/") else levels
        if bare == "*" or any(fnmatch(name, bare.removeprefix("**/")) for name in names):
            included = pattern.startswith("!")
    return included


def test_base_image_is_pinned() -> None:
    bases = [words.split()[0] for words in arguments_of("FROM")]
    assert len(bases) == 1
    assert re.fullmatch(r"nvidia/cuda:\d+\.\d+\.\d+-base-ubuntu\d+\.\d+(@sha256:[0-9a-f]{64})?", bases[0])


def test_runs_as_the_user_of_the_manifests() -> None:
    assert [words for name, words in INSTRUCTIONS if name == "USER"] == ["65532:65532"]
    after = [name for name, _ in INSTRUCTIONS][[name for name, _ in INSTRUCTIONS].index("USER") + 1 :]
    assert after == ["WORKDIR", "CMD"]


def test_installed_packages_are_pinned() -> None:
    assert re.search(r"pip install --no-cache-dir uv==\d+\.\d+\.\d+$", arguments_of("RUN")[0])
    installed = [words for words in arguments_of("RUN") if "uv pip install" in words]
    assert len(installed) == 2
    assert all("--constraint constraints.txt" in words for words in installed)
    assert "torch.version.cuda" in installed[0]
    assert "--python 3.11" in " ".join(arguments_of("RUN"))
    assert re.search(r"^torch==\d", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert not re.search(r"curl|wget http|\| *sh", " ".join(arguments_of("RUN")))


def test_base_image_and_torch_use_the_same_cuda() -> None:
    [base] = re.findall(r"nvidia/cuda:(\d+\.\d+)\.", " ".join(arguments_of("FROM")))
    [torch] = re.findall(r"torch.version.cuda == '([\d.]+)'", " ".join(arguments_of("RUN")))
    assert base == torch


def test_environment_requires_token_and_volume() -> None:
    env = dict(re.findall(r"(\w+)=(\S+)", " ".join(arguments_of("ENV"))))
    assert env["HF_HOME"] == arguments_of("VOLUME")[0] == "/models"
    assert env["RAY_AUTH_MODE"] == "token"
    assert env["RAY_USAGE_STATS_ENABLED"] == "0"
    assert not [name for name in env if re.search("KEY|SECRET|PASSWORD|TOKEN$", name)]
    assert arguments_of("ARG") == [], "no build argument can add content to a layer"


def test_copied_files_are_in_the_build_context() -> None:
    for words in arguments_of("COPY"):
        for source in words.split()[:-1]:
            assert (ROOT / source).exists()
            assert in_context(source), source
    assert in_context("amia/demo/weights/clip/model.safetensors")
    assert in_context("ray_jobs/settings/presets/demo.yaml")
    assert f"{arguments_of('WORKDIR')[0]}/presets" == IMAGE_PRESETS
    assert any(words.split() == ["cluster/presets", "./presets"] for words in arguments_of("COPY"))


@pytest.mark.parametrize(
    "path",
    [
        *(".git/config", ".venv/bin/python", ".env", "runs/mine/posts/x.parquet", "posts/train.txt", "id_rsa"),
        *("amia/.env", "amia/__pycache__/x.pyc", "my-cluster/rayjob.yaml", "tests/conftest.py", "cluster/Dockerfile"),
    ],
)
def test_other_files_are_not_in_the_build_context(path: str) -> None:
    assert not in_context(path)


def test_default_command() -> None:
    [command] = arguments_of("CMD")
    assert check_command(re.findall(r'"([^"]+)"', command)) == ["amia --help"]


@pytest.mark.slow  # builds a wheel
def test_wheel_of_build_context_has_presets_and_weights(tmp_path: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path in filter(in_context, tracked.splitlines()):
        target = tmp_path / "context" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / path).read_bytes())
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "."]
    subprocess.run([*wheel, "--wheel-dir", tmp_path], cwd=tmp_path / "context", check=True)
    [built_wheel] = tmp_path.glob("*.whl")
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", built_wheel], capture_output=True, text=True, check=True
    ).stdout
    for name in (
        "amia/demo/weights/clip/model.safetensors",
        "ray_jobs/settings/presets/demo.yaml",
        "amia/presets/demo.yaml",
    ):
        assert name in listed
