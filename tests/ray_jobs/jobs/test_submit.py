"""`amia submit` uploads the code of amia and the settings file of the command, and nothing else."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from ray._private.runtime_env.packaging import create_package

from amia.errors import SettingsError
from ray_jobs.jobs.staging import copy_files, list_files
from ray_jobs.jobs.submit import ENV_VARS, entrypoint_of
from ray_jobs.runtime.console import console
from ray_jobs.runtime.signals import GRACE_S
from tests.helpers.paths import ROOT
from tests.helpers.private_files import private_files, write_private_files

Amia = Callable[..., tuple[int, str, str]]


def write_repository(folder: Path) -> None:
    """Write a small repository: some code, settings files, texts and tests, and files that must stay at home."""
    for name in ("amia/__init__.py", "ray_jobs/cli/main.py", "cluster/presets/4xa10g.yaml", "cluster/README.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / ".rayignore").write_bytes((ROOT / ".rayignore").read_bytes())
    write_private_files(folder)


def package_of(folder: Path, target: Path) -> set[str]:
    """Return the names of the files in the package that Ray creates of a working directory."""
    create_package(str(folder), target, include_gitignore=True)
    with ZipFile(target) as package:
        return {name for name in package.namelist() if not name.endswith("/")}


def test_package_of_amia_submit_has_no_private_file(tmp_path: Path) -> None:
    write_repository(tmp_path / "repository")
    (tmp_path / "staged").mkdir()
    copy_files(list_files(root=tmp_path / "repository"), tmp_path / "staged")
    files = package_of(tmp_path / "staged", tmp_path / "package.zip")
    assert files == {"amia/__init__.py", "ray_jobs/cli/main.py", "cluster/presets/4xa10g.yaml"}


def test_package_of_ray_job_submit_has_no_private_file(tmp_path: Path) -> None:
    write_repository(tmp_path / "repository")
    files = package_of(tmp_path / "repository", tmp_path / "package.zip")
    assert private_files(files) == set()
    assert files == {"amia/__init__.py", "ray_jobs/cli/main.py", "cluster/presets/4xa10g.yaml", "cluster/README.md"}


def test_private_files_are_recognized(tmp_path: Path) -> None:
    write_private_files(tmp_path)
    names = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()}
    assert private_files(names) == names


def test_every_file_of_the_packages_is_uploaded() -> None:
    command = ["git", "ls-files", "amia", "ray_jobs", "cluster/presets"]
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    uploaded = {file.name for file in list_files()}
    assert {name for name in tracked if not name.endswith(".md")} <= uploaded
    assert {name.partition("/")[0] for name in uploaded} == {"amia", "ray_jobs", "cluster"}


def test_settings_file_is_uploaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "mine.yaml").write_text("seed: 7")
    names = {file.name for file in list_files("settings/mine.yaml")}
    assert names - {file.name for file in list_files()} == {"settings/mine.yaml"}
    for not_uploaded in ("demo", "/opt/amia/presets/4xa10g.yaml"):
        assert len(list_files(not_uploaded)) == len(names) - 1
    with pytest.raises(SettingsError, match=r"no settings file settings/mine\.yml: check the path"):
        list_files("settings/mine.yml")
    with pytest.raises(SettingsError, match="outside the current folder: copy it into the folder"):
        list_files("../mine.yaml")


def test_links_are_not_followed(tmp_path: Path) -> None:
    write_repository(tmp_path / "repository")
    (tmp_path / "secret.py").write_text("x")
    (tmp_path / "repository" / "amia" / "link.py").symlink_to(tmp_path / "secret.py")
    assert "amia/link.py" not in {file.name for file in list_files(root=tmp_path / "repository")}


def test_stop_waits_longer_than_the_grace_period() -> None:
    assert int(ENV_VARS["RAY_JOB_STOP_WAIT_TIME_S"]) >= GRACE_S + 5


def test_entrypoint_is_quoted() -> None:
    assert entrypoint_of(["predict", "--text", "it's here"]) == """python -m ray_jobs predict --text 'it'"'"'s here'"""


def test_dry_run_lists_files(amia: Amia, tmp_path: Path) -> None:
    words = ("submit", "--dry-run", "--json", "--", "augment", "--run", "s3://bucket/mine", "seed=7")
    code, stdout, stderr = amia(*words)
    assert (code, stderr) == (0, "")
    listing = json.loads(stdout)
    assert listing["files"]["ray_jobs/cli/submit.py"] == (ROOT / "ray_jobs" / "cli" / "submit.py").stat().st_size
    assert listing["entrypoint"] == "python -m ray_jobs augment --run s3://bucket/mine seed=7"
    stdout = amia("submit", "--dry-run", "--", "augment", "--run", tmp_path / "run")[1]
    assert "amia/augment.py" in stdout
    assert f"{len(listing['files']):,} files, " in stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["augmnt", "--run", "s3://b/r"], "No such command 'augmnt'"),
        (["augment", "--rn", "s3://b/r"], "No such option: --rn"),
        (["augment", "--run", "runs/mine"], "runs/mine is a folder of this machine"),
        (["ingest", "posts", "--run", "s3://b/r"], "posts is a folder of this machine"),
        (["experiment", "--run", "t17=runs/t17"], "runs/t17 is a folder of this machine"),
        (["augment", "--run", "s3://b/r", "--config", "mine.yaml"], "no settings file mine.yaml"),
    ],
)
def test_wrong_commands_are_refused_before_the_upload(amia: Amia, words: list[str], message: str) -> None:
    code, _, stderr = amia("submit", "--address", "http://127.0.0.1:9", "--", *words)
    assert code == 2
    assert message in stderr


@pytest.mark.parametrize("location", ["s3://b/r=1", "/shared/r", "t17=/shared/r", "t17=s3://b/r"])
def test_locations_of_the_cluster_are_accepted(amia: Amia, location: str) -> None:
    assert amia("submit", "--dry-run", "--", "experiment", "--run", location)[0] == 0


@pytest.mark.parametrize(("own", "commands"), [(["--json"], []), ([], ["--json"])])
def test_json_is_that_of_submit_and_not_of_the_command(amia: Amia, own: list[str], commands: list[str]) -> None:
    code, stdout, _ = amia("submit", "--dry-run", *own, "--", "status", "s3://bucket/mine", *commands)
    assert code == 0
    assert stdout.startswith("{") == bool(own)
    assert console.stderr == bool(own)


def test_unreachable_cluster(amia: Amia) -> None:
    code, _, stderr = amia("submit", "--address", "http://127.0.0.1:9", "--", "status", "s3://bucket/mine")
    assert code == 7
    assert "the cluster did not accept the job" in stderr
    assert "Check --address" in stderr
