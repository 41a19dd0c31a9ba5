"""`amia fetch`: every model of a config in a cache, and workers that it serves without a network."""

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
def test_the_models_of_the_demo_are_where_they_ship() -> None:
    found = {each.role: each.folder for each in download_models(load_settings("demo"), ["umt", "bert"])}
    assert found == {
        "encoder": CLIP_DIR,
        "generator": GENERATOR_DIR,
        "text encoder": BERT_DIR,
        "visual encoder": RESNET_DIR,
    }


def test_without_a_recognizer_its_encoders_are_not_fetched() -> None:
    assert [each.role for each in download_models(load_settings("demo"))] == ["encoder", "generator"]


def test_a_system_that_is_not_there_is_told_before_gigabytes_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(*_: object, **__: object) -> Path:
        raise AssertionError("fetched")

    monkeypatch.setattr("ray_jobs.jobs.download.ClipEncoder.fetch", fetched)
    with pytest.raises(SettingsError, match=r"'unt'.*umt"):
        download_models(load_settings("demo"), ["umt", "unt"])


def test_a_machine_reads_where_the_models_lie_and_what_they_are(amia: Amia) -> None:
    code, said, complained = amia("fetch", "--config", "demo", "--json")
    assert (code, complained) == (0, "")
    told = json.loads(said)
    assert told["encoder"]["folder"] == str(CLIP_DIR)
    assert told["generator"]["identity"].startswith("sha256:")
    assert f"generator: {told['generator']['identity']} -> {GENERATOR_DIR}\n" in amia("fetch", "--config", "demo")[1]


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Path]:
    """A cache as the hub lays it out, on a disk that takes no writes."""
    filled, mounted = tmp_path / "filled", tmp_path / "mounted"
    for name, folder in (("clip", CLIP_DIR), ("generator", GENERATOR_DIR)):
        repository = filled / "hub" / f"models--some--{name}"
        shutil.copytree(folder, repository / "snapshots" / COMMIT)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
    mounted.mkdir()
    if subprocess.run(["mount", "--bind", filled, mounted], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", mounted], check=True)
        yield mounted
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_a_cache_that_cannot_be_written_to_serves_workers_without_a_network(sealed: Path) -> None:
    words = ("fetch", "clip.model=some/clip", "generator.model=some/generator")
    code, said, complained = finish(start(*words, HF_HOME=str(sealed), HF_HUB_OFFLINE="1"))
    assert (code, complained) == (0, "")
    assert said.splitlines() == [
        f"{role}: some/{name}@{COMMIT} -> {sealed}/hub/models--some--{name}/snapshots/{COMMIT}"
        for role, name in (("encoder", "clip"), ("generator", "generator"))
    ]


def test_without_a_network_what_is_not_in_the_cache_is_named(tmp_path: Path) -> None:
    code, said, complained = finish(start("fetch", HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1"))
    assert (code, said) == (4, "")
    assert complained.startswith("error: encoder: 'openai/clip-vit-base-patch16' is not a local folder")
