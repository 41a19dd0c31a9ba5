"""Names of models, identities of weights, and conversions of pickled models. The hub itself is simulated."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from amia import demo, hub
from amia.errors import ModelError
from amia.hub import fetch_converted_snapshot, fetch_model, fetch_pipeline, resolve_path, weights_identity
from tests.helpers.fake_hub import fake_hub

NAME = "example/clip-without-safetensors"
DEMO_FOLDERS = {
    "demo:clip": demo.CLIP_DIR,
    "demo:generator": demo.GENERATOR_DIR,
    "demo:mixture": demo.MIXTURE_DIR,
    "demo:resnet": demo.RESNET_DIR,
    "demo:bert": demo.BERT_DIR,
}


@pytest.fixture
def hub_requests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Revisions requested from a hub whose `main` lacks safetensors and whose bot has converted the model in PR 7."""
    pickled = tmp_path / "snapshots" / "aaa"
    pickled.mkdir(parents=True)
    (pickled / "config.json").write_bytes((demo.CLIP_DIR / "config.json").read_bytes())
    revisions: list[str] = []

    def download(model: str, *, revision: str, **_: Any) -> str:
        revisions.append(revision)
        return str(demo.CLIP_DIR if revision == "refs/pr/7" else pickled)

    monkeypatch.setattr(hub, "is_hub_reachable", lambda *_: True)
    monkeypatch.setattr(hub, "snapshot_download", download)
    monkeypatch.setattr(hub, "get_conversion_pr_reference", lambda _, model: {NAME: "refs/pr/7"}[model])
    return revisions


@pytest.mark.parametrize("name", DEMO_FOLDERS)
def test_demo_names_resolve_to_package_folders(name: str) -> None:
    assert resolve_path(name) == DEMO_FOLDERS[name]


def test_other_names_are_paths() -> None:
    assert resolve_path("some/folder") == Path("some/folder")
    assert resolve_path(Path("some/folder")) == Path("some/folder")


def test_unknown_demo_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"'demo:clap'.*demo:bert, demo:clip, demo:generator"):
        fetch_model("encoder", "demo:clap", None)


def test_demo_models_and_their_folders_have_one_identity() -> None:
    assert fetch_model("encoder", "demo:clip", None) == demo.CLIP_DIR
    assert fetch_pipeline("generator", "demo:generator", None) == demo.GENERATOR_DIR
    for name, folder in DEMO_FOLDERS.items():
        identity = weights_identity(name, folder)
        assert identity.startswith("sha256:")
        assert identity == weights_identity(str(folder), folder)


def test_identity_hashes_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_bytes(b"{}")
    digest = hashlib.sha256(b"model.safetensors\0weights").hexdigest()
    assert weights_identity(str(tmp_path), tmp_path) == f"sha256:{digest}"


def test_identity_of_hub_model_names_the_commit() -> None:
    assert weights_identity("owner/name", Path("/cache/snapshots/c0ffee")) == "owner/name@c0ffee"


def test_pickled_model_uses_the_bot_conversion(hub_requests: list[str]) -> None:
    assert fetch_model("encoder", NAME, "aaa") == demo.CLIP_DIR
    assert hub_requests == ["aaa", "refs/pr/7"]


def test_missing_conversion_is_reported(hub_requests: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise OSError("Could not create safetensors conversion PR.")

    monkeypatch.setattr(hub, "get_conversion_pr_reference", fail)
    with pytest.raises(ModelError, match=r"could not be loaded .*safetensors conversion"):
        fetch_model("encoder", NAME, "aaa")


def test_offline_needs_a_cached_conversion(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cache = tmp_path / "hub"
    repository = cache / f"models--{NAME.replace('/', '--')}"
    snapshot = repository / "snapshots" / "bbb"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"x")
    (repository / "blobs").mkdir()
    monkeypatch.setattr(hub, "scan_cache_dir", lambda scan=hub.scan_cache_dir: scan(cache))
    with pytest.raises(OSError, match="has no safetensors"):
        fetch_converted_snapshot(NAME, ["*"], local_files_only=True)
    (repository / "refs" / "refs" / "pr").mkdir(parents=True)
    (repository / "refs" / "refs" / "pr" / "7").write_text("bbb")
    assert fetch_converted_snapshot(NAME, ["*"], local_files_only=True) == snapshot


def answer(status: int, **headers: str) -> HfHubHTTPError:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    response: Any = SimpleNamespace(status_code=status, headers=fields, request=None)
    return HfHubHTTPError(f"status {status}", response=response)


def wrapped(cause: Exception) -> Exception:
    """Return an error as `snapshot_download` raises it."""
    error = LocalEntryNotFoundError("not found")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("errors", "waits"),
    [
        ([answer(429, Retry_After="7"), wrapped(answer(503))], [(7, 10.5), (2, 3)]),
        ([answer(429, Retry_After="100000")], [(60, 90)]),
    ],
)
def test_overloaded_hub_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, errors: list[Exception], waits: list[tuple[float, float]]
) -> None:
    slept: list[float] = []
    remaining = list(errors)

    def download(*_: Any, **__: Any) -> str:
        if remaining:
            raise remaining.pop(0)
        return str(demo.CLIP_DIR)

    monkeypatch.setattr(hub, "is_hub_reachable", lambda *_: True)
    monkeypatch.setattr(hub, "snapshot_download", download)
    monkeypatch.setattr("time.sleep", slept.append)
    assert fetch_model("encoder", NAME, None) == demo.CLIP_DIR
    assert len(slept) == len(waits)
    assert all(low <= wait <= high for wait, (low, high) in zip(slept, waits, strict=True))


@pytest.mark.parametrize(("error", "attempts"), [(answer(429), 6), (answer(403), 1), (OSError("no network"), 1)])
def test_hub_that_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch, error: Exception, attempts: int) -> None:
    seen: list[str] = []

    def download(model: str, **_: Any) -> str:
        seen.append(model)
        raise error

    monkeypatch.setattr(hub, "is_hub_reachable", lambda *_: True)
    monkeypatch.setattr(hub, "snapshot_download", download)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(ModelError, match="could not be loaded from the Hugging Face hub"):
        fetch_model("encoder", NAME, None)
    assert len(seen) == attempts


@pytest.mark.slow
def test_download_from_a_hub_that_refuses_every_request_twice(tmp_path: Path) -> None:
    script = f"from amia.hub import fetch_model; print(fetch_model('encoder', {NAME!r}, None))"
    with fake_hub(NAME, demo.CLIP_DIR, refusals=2) as served:
        environment = {**os.environ, "HF_ENDPOINT": served.endpoint, "HF_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
    folder = Path(done.stdout.strip())
    assert (folder / "model.safetensors").read_bytes() == (demo.CLIP_DIR / "model.safetensors").read_bytes()
    assert sum(status == 429 for _, _, status in served.requests) > 2
