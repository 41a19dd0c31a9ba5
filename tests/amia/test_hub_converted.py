"""Hub models that were published as a pickle. No hub can be reached here: what it would answer is simulated."""

from pathlib import Path
from typing import Any

import pytest

from amia import hub as converted
from amia import hub as snapshots
from amia.demo import CLIP_DIR
from amia.errors import ModelError
from amia.matching.clip import ClipEncoder
from amia.matching.settings import ClipSettings

NAME = "somebody/clip-without-safetensors"


@pytest.fixture
def simulated_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A hub whose `main` has a configuration and no safetensors, and whose bot has converted it in PR 7."""
    pickled = tmp_path / "snapshots" / "aaa"
    pickled.mkdir(parents=True)
    (pickled / "config.json").write_bytes((CLIP_DIR / "config.json").read_bytes())
    asked: list[str] = []

    def download(model: str, *, revision: str, **_: Any) -> str:
        asked.append(revision)
        return str(CLIP_DIR if revision == "refs/pr/7" else pickled)

    monkeypatch.setattr(snapshots, "is_hub_reachable", lambda *_: True)
    monkeypatch.setattr(snapshots, "snapshot_download", download)
    monkeypatch.setattr(converted, "snapshot_download", download)
    monkeypatch.setattr(converted, "get_conversion_pr_reference", lambda _, model: {NAME: "refs/pr/7"}[model])
    return asked


def test_a_pickled_model_is_taken_from_the_bot_s_conversion_simulated_hub(simulated_hub: list[str]) -> None:
    folder = ClipEncoder.fetch(ClipSettings(model=NAME, revision="aaa"))
    assert folder == CLIP_DIR
    assert simulated_hub == ["aaa", "refs/pr/7"]


def test_without_a_conversion_the_error_says_what_lacks_simulated_hub(
    simulated_hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> str:
        raise OSError("Could not create safetensors conversion PR.")

    monkeypatch.setattr(converted, "get_conversion_pr_reference", none)
    with pytest.raises(ModelError, match=r"could not be had .*safetensors conversion"):
        ClipEncoder.fetch(ClipSettings(model=NAME, revision="aaa"))


def test_offline_only_a_cached_conversion_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cache = tmp_path / "hub"
    home = cache / f"models--{NAME.replace('/', '--')}"
    snapshot = home / "snapshots" / "bbb"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"x")
    (home / "blobs").mkdir()
    monkeypatch.setattr(converted, "scan_cache_dir", lambda scan=converted.scan_cache_dir: scan(cache))
    with pytest.raises(OSError, match="has no safetensors"):
        converted.fetch_converted_snapshot(NAME, ["*"], local_files_only=True)
    (home / "refs" / "refs" / "pr").mkdir(parents=True)
    (home / "refs" / "refs" / "pr" / "7").write_text("bbb")
    assert converted.fetch_converted_snapshot(NAME, ["*"], local_files_only=True) == snapshot
