"""The shape of the house: the method knows nothing of clusters, and files stay small."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

PACKAGES = ("amia", "ray_jobs")
FORBIDDEN = {"ray", "ray_jobs"}


def sources(*packages: str) -> list[Path]:
    return sorted(file for package in packages for file in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("file", sources("amia"), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_method_imports_no_cluster(file: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add("." * node.level if node.level else (node.module or "").split(".")[0])
    assert not imported & FORBIDDEN
    assert not any(name.startswith(".") for name in imported), "imports are absolute"


def test_importing_the_whole_method_loads_no_cluster() -> None:
    names = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for file in sources("amia")
        if file.name != "__main__.py"
    ]
    code = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\nprint(sorted(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    loaded = {name.split(".")[0] for name in ast.literal_eval(said.strip().splitlines()[-1])}
    assert "amia" in loaded
    assert not loaded & FORBIDDEN


def test_the_command_lines_help_loads_neither_torch_nor_ray() -> None:
    code = (
        "import sys\nsys.argv = ['amia', '--help']\nfrom ray_jobs.cli.main import main\n"
        "try: main()\nexcept SystemExit: print(sorted(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    loaded = set(ast.literal_eval(said.strip().splitlines()[-1]))
    assert "Usage: amia" in said
    assert not loaded & {"torch", "ray", "transformers", "diffusers", "sklearn", "scipy", "pyarrow", "datasets"}


def test_the_driver_of_a_job_waits_for_no_model_library() -> None:
    code = "import sys, ray_jobs.jobs.ingest, ray_jobs.jobs.augment; print(sorted(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert not set(ast.literal_eval(said.strip().splitlines()[-1])) & {"torch", "diffusers", "sklearn", "scipy"}


@pytest.mark.parametrize("file", sources(*PACKAGES), ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_of_400_lines_would_be_two(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) < 400


def test_half_of_the_files_are_under_150_lines() -> None:
    lengths = sorted(len(file.read_text(encoding="utf-8").splitlines()) for file in sources(*PACKAGES))
    assert lengths[len(lengths) // 2] < 150


def test_ray_data_is_spoken_where_shards_are_spread_and_where_training_is_fed() -> None:
    speaking = [file.name for file in sources("ray_jobs") if "from ray.data" in file.read_text(encoding="utf-8")]
    assert sorted(speaking) == ["runner.py", "streaming.py"]


def test_the_readme_names_files_that_are_there() -> None:
    named = re.findall(r"^\| `([a-z_/]+\.py)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_security_file_names_files_that_are_there() -> None:
    named = re.findall(
        r"`((?:amia|ray_jobs|cluster)/[\w/.]+\.\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    )
    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).is_file()] == []


@pytest.mark.promise(32)
@pytest.mark.parametrize("file", sources(*PACKAGES), ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_is_unpickled_and_no_foreign_code_runs(file: Path) -> None:
    used: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            used |= {alias.name for alias in node.names} | (
                {node.module} if isinstance(node, ast.ImportFrom) else set()
            )
        elif isinstance(node, ast.Call):
            refused = [keyword for keyword in node.keywords if ast.unparse(keyword.value) == "False"]
            used |= {ast.unparse(node.func), *(each.arg or "" for each in node.keywords if each not in refused)}
    never = {"pickle", "cloudpickle", "dill", "joblib", "torch.load", "eval", "exec", "trust_remote_code", "extractall"}
    assert not {name for name in used if name in never or name.rpartition(".")[2] == "extractall"}


def test_no_stage_imports_another() -> None:
    stages = {file.stem for file in (ROOT / "ray_jobs" / "stages").glob("*.py")} - {"base", "__init__"}
    for name in stages:
        text = (ROOT / "ray_jobs" / "stages" / f"{name}.py").read_text(encoding="utf-8")
        assert not [other for other in stages - {name} if f"ray_jobs.stages.{other}" in text]
