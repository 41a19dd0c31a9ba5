"""Structure of the code: layers of packages, imports, sizes of files, and files named by the texts."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

PACKAGES = ("amia", "ray_jobs")
LAYERS = {
    "amia": (
        ("errors", "utils"),
        ("text", "posts", "images"),
        ("accelerator", "hub_safety", "hub"),
        ("readers", "mixing", "matching", "synthesis"),
        ("mner",),
        ("settings",),
        ("experiments", "report", "export", "doctor", "augment"),
        ("demo",),
    ),
    "ray_jobs": (
        ("settings",),
        ("storage",),
        ("stages",),
        ("runtime",),
        ("training",),
        ("reporting",),
        ("jobs",),
        ("cli",),
    ),
}
"""Modules and packages of each top-level package, lowest layer first. Imports go down or stay within a layer."""
HEAVY_LIBRARIES = {"torch", "ray", "transformers", "diffusers", "sklearn", "scipy", "pyarrow", "datasets"}


def source_files(*packages: str) -> list[Path]:
    return sorted(file for package in packages for file in (ROOT / package).rglob("*.py"))


@cache
def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imported_modules(file: Path) -> Iterator[str]:
    """Yield the absolute names of everything that a file imports, also inside functions."""
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def component_of(module: str, package: str) -> str | None:
    """Return the component of a module below a top-level package: `amia.images.decode` -> `images`."""
    parts = module.split(".")
    return parts[1] if parts[0] == package and len(parts) > 1 else None


def import_graph(package: str) -> dict[str, set[str]]:
    """Return which components of a package each of its components imports. `__init__` and `__main__` are left out."""
    graph: dict[str, set[str]] = {}
    for file in source_files(package):
        component = file.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if component.startswith("__"):
            continue
        components = {component_of(module, package) for module in imported_modules(file)} - {None, component}
        graph.setdefault(component, set()).update(name for name in components if _is_component(name, package))
    return graph


def _is_component(name: str | None, package: str) -> bool:
    return name is not None and ((ROOT / package / name).is_dir() or (ROOT / package / f"{name}.py").is_file())


def loaded_modules(code: str) -> tuple[set[str], str]:
    """Run code in a new process. Returns the top-level names of the modules that it has loaded, and its output."""
    program = f"import sys\n{code}\nprint(sorted({{name.partition('.')[0] for name in sys.modules}}))"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    return set(ast.literal_eval(output.strip().splitlines()[-1])), output


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_never_go_up(package: str) -> None:
    layer_of = {name: number for number, names in enumerate(LAYERS[package]) for name in names}
    graph = import_graph(package)
    assert graph.keys() == layer_of.keys()
    upward = [
        f"{component} imports {name}"
        for component, names in sorted(graph.items())
        for name in sorted(names)
        if layer_of[name] > layer_of[component]
    ]
    assert upward == []


@pytest.mark.parametrize("package", PACKAGES)
def test_components_have_no_import_cycles(package: str) -> None:
    try:
        TopologicalSorter(import_graph(package)).prepare()
    except CycleError as error:
        pytest.fail(f"{package}: {' -> '.join(error.args[1])}")


def test_modules_have_no_import_cycles() -> None:
    """Check the imports at the top of files, which must work in any order."""
    names = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in source_files(*PACKAGES)
    }
    graph: dict[str, set[str]] = {}
    for name, file in names.items():
        modules = graph.setdefault(name, set())
        for node in parse(file).body:
            if isinstance(node, ast.ImportFrom) and node.module in names:
                children = {f"{node.module}.{alias.name}" for alias in node.names}
                modules |= (children & names.keys()) or {node.module}
            elif isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names} & names.keys()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_amia_does_not_import_ray() -> None:
    imports = {
        f"{file.relative_to(ROOT)}: {module}"
        for file in source_files("amia")
        for module in imported_modules(file)
        if module.split(".")[0] in {"ray", "ray_jobs"}
    }
    assert imports == set()


def test_importing_amia_loads_no_ray() -> None:
    names = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for file in source_files("amia")
        if file.name != "__main__.py"
    ]
    loaded, _ = loaded_modules(f"import importlib\nfor name in {names!r}: importlib.import_module(name)")
    assert "amia" in loaded
    assert not loaded & {"ray", "ray_jobs"}


def test_help_loads_no_heavy_library() -> None:
    loaded, output = loaded_modules(
        "sys.argv = ['amia', '--help']\nfrom ray_jobs.cli.main import main\ntry: main()\nexcept SystemExit: pass"
    )
    assert "Usage: amia" in output
    assert not loaded & HEAVY_LIBRARIES


def test_drivers_load_no_model_library() -> None:
    loaded, _ = loaded_modules("import ray_jobs.jobs.ingest, ray_jobs.jobs.augment")
    assert not loaded & {"torch", "diffusers", "sklearn", "scipy"}


def test_files_have_less_than_400_lines() -> None:
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in source_files(*PACKAGES)}
    assert {str(file.relative_to(ROOT)): length for file, length in lengths.items() if length >= 400} == {}
    assert sorted(lengths.values())[len(lengths) // 2] < 150


def test_ray_data_is_imported_by_two_files() -> None:
    files = [
        str(file.relative_to(ROOT / "ray_jobs"))
        for file in source_files("ray_jobs")
        if any(module.startswith("ray.data") for module in imported_modules(file))
    ]
    assert files == ["runtime/executor.py", "training/streaming.py"]


def test_stages_do_not_import_each_other() -> None:
    stages = {file.stem: file for file in (ROOT / "ray_jobs" / "stages").glob("*.py")}
    del stages["base"], stages["__init__"]
    for name, file in stages.items():
        imported = {module.split(".")[2] for module in imported_modules(file) if module.startswith("ray_jobs.stages.")}
        assert imported & stages.keys() == set(), name


@pytest.mark.promise(32)
def test_nothing_is_unpickled_and_no_foreign_code_runs() -> None:
    modules = {"pickle", "cloudpickle", "dill", "joblib"}
    forbidden = {*modules, "torch.load", "eval", "exec", "trust_remote_code", "extractall"}
    violations: list[str] = []
    for file in source_files(*PACKAGES):
        used: set[str] = set()
        for node in ast.walk(parse(file)):
            if isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                used |= {alias.name for alias in node.names} | {node.module or ""}
            elif isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                used |= {name, *(["extractall"] if name.endswith(".extractall") else [])}
                used |= {keyword.arg or "" for keyword in node.keywords if ast.unparse(keyword.value) != "False"}
        violations += [f"{file.relative_to(ROOT)}: {name}" for name in sorted(used & forbidden)]
    assert violations == []


@pytest.mark.parametrize(
    ("text", "pattern", "minimum"),
    [
        ("README.md", r"^\| `([a-z_/]+\.py)` \|", 6),
        ("SECURITY.md", r"`((?:amia|ray_jobs|cluster)/[\w/.]+\.\w+)`", 9),
    ],
)
def test_files_named_by_the_texts_exist(text: str, pattern: str, minimum: int) -> None:
    names = re.findall(pattern, (ROOT / text).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) >= minimum
    assert [name for name in names if not (ROOT / name).is_file()] == []
