"""`amia fetch` fills a cache that workers without network access read."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amia.demo import BERT_DIR, CLIP_DIR, GENERATOR_DIR, RESNET_DIR
from amia.errors import SettingsError
from ray_jobs.jobs.download import download_models
from ray_jobs.settings.job import load_settings
from tests.helpers.drivers import finish, start

COMMIT = "c0ffee" * 6 + "beef"

Amia = Callable[..., tuple[int, str, str]]


@pytest.mark.promise(28)
def test_demo_models_are_those_of_the_package() -> None:
    folders = {model.role: model.folder for model in download_models(load_settings("demo"), ["umt", "bert"])}
    assert folders == {
        "encoder": CLIP_DIR,
        "generator": GENERATOR_DIR,
        "text encoder": BERT_DIR,
        "visual encoder": RESNET_DIR,
    }


def test_encoders_of_recognizers_are_optional() -> None:
    assert [model.role for model in download_models(load_settings("demo"))] == ["encoder", "generator"]


def test_unknown_system_is_refused_before_any_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*_: object, **__: object) -> Path:
        raise AssertionError("a model was downloaded")

    monkeypatch.setattr("ray_jobs.jobs.download.fetch_model", fetch)
    with pytest.raises(SettingsError, match=r"'unt'.*umt"):
        download_models(load_settings("demo"), ["umt", "unt"])


def test_prints_identity_and_folder(amia: Amia) -> None:
    code, stdout, stderr = amia("fetch", "--config", "demo", "--json")
    assert (code, stderr) == (0, "")
    models = json.loads(stdout)
    assert models["encoder"]["folder"] == str(CLIP_DIR)
    assert models["generator"]["identity"].startswith("sha256:")
    assert f"generator: {models['generator']['identity']} -> {GENERATOR_DIR}\n" in amia("fetch", "--config", "demo")[1]


@pytest.fixture
def read_only_cache(tmp_path: Path) -> Iterator[Path]:
    """A cache in the layout of the hub, mounted read-only."""
    filled, mounted = tmp_path / "filled", tmp_path / "mounted"
    for name, folder in (("clip", CLIP_DIR), ("generator", GENERATOR_DIR)):
        repository = filled / "hub" / f"models--some--{name}"
        shutil.copytree(folder, repository / "snapshots" / COMMIT)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
    mounted.mkdir()
    if subprocess.run(["mount", "--bind", filled, mounted], capture_output=True, check=False).returncode:
        pytest.skip("a folder cannot be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", mounted], check=True)
        yield mounted
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_read_only_cache_without_network(read_only_cache: Path) -> None:
    words = ("fetch", "clip.model=some/clip", "generator.model=some/generator")
    code, stdout, stderr = finish(start(*words, HF_HOME=str(read_only_cache), HF_HUB_OFFLINE="1"))
    assert (code, stderr) == (0, "")
    assert stdout.splitlines() == [
        f"{role}: some/{name}@{COMMIT} -> {read_only_cache}/hub/models--some--{name}/snapshots/{COMMIT}"
        for role, name in (("encoder", "clip"), ("generator", "generator"))
    ]


def test_missing_model_without_network(tmp_path: Path) -> None:
    code, stdout, stderr = finish(start("fetch", HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1"))
    assert (code, stdout) == (4, "")
    assert stderr.startswith("error: encoder: 'openai/clip-vit-base-patch16' is not a local folder")
