"""Where recognizers are found, and which of their files are fetched."""

import shutil
from pathlib import Path

import pytest

from amia import mner
from amia.errors import ModelError
from ray_jobs.storage.model_store import find_model, local_copy
from ray_jobs.storage.store import Store


def add_model(run: Path, model: Path) -> Path:
    """Add a recognizer with complete training to a run."""
    shutil.copytree(model, run / "models" / "tiny")
    (run / "models" / "tiny" / "training.json").write_text("{}")
    return run


def test_finds_by_name_folder_and_url(tiny: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = add_model(tmp_path / "run", tiny)
    local = find_model("tiny", Store(run))
    assert (local.name, local.folder) == ("tiny", run / "models" / "tiny")
    assert find_model(str(tiny)).sha256 == local.sha256
    remote = Store(f"{bucket}/a run")
    for file in (run / "models" / "tiny").iterdir():
        remote.create(f"models/tiny/{file.name}", file.read_bytes())
    for other in ("pytorch_model.bin", "modeling.py", "checkpoints/epoch-00001/model.safetensors", "identity.json"):
        remote.create(f"models/tiny/{other}", b"must not be fetched")
    for model in (find_model("tiny", remote), find_model(f"{remote.address}/models/tiny")):
        assert (model.name, model.sha256) == ("tiny", local.sha256)
        assert {path.name for path in model.folder.iterdir()} == {path.name for path in tiny.iterdir()}
    cached = local_copy(model.address, model.sha256)
    assert cached == model.folder
    assert [path.name for path in cached.parent.iterdir()] == [local.sha256]
    with pytest.raises(ModelError, match="differ from those"):
        local_copy(model.address, "0" * 64)
    assert mner.load(cached, device="cpu").predict("Orla Finch sings")


def test_unusable_models_are_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no recognizer 'tinny'.* has tiny"):
        find_model("tinny", Store(add_model(tmp_path / "run", tiny)))
    with pytest.raises(ModelError, match=r"no recognizer .*nowhere"):
        find_model(str(tmp_path / "nowhere"))
    shutil.copytree(tiny, tmp_path / "models" / "incomplete")
    (tmp_path / "models" / "incomplete" / "identity.json").write_text("{}")
    with pytest.raises(ModelError, match="is incomplete"):
        find_model("incomplete", Store(tmp_path))
    shutil.copytree(tiny, tmp_path / "a model")
    with pytest.raises(ModelError, match="rename the folder"):
        find_model(str(tmp_path / "a model"))
    shutil.copytree(tiny, tmp_path / "empty")
    (tmp_path / "empty" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no \*\.safetensors file"):
        find_model(str(tmp_path / "empty"))
