"""Where a recognizer is looked for, and what of it is fetched."""

import shutil
from pathlib import Path

import pytest

from amia import mner
from amia.errors import ModelError
from ray_jobs.storage.model_store import find_model, local_copy
from ray_jobs.storage.store import Store


def trained(run: Path, model: Path) -> Path:
    """A run with a recognizer whose training has ended."""
    shutil.copytree(model, run / "models" / "tiny")
    (run / "models" / "tiny" / "training.json").write_text("{}")
    return run


def test_a_recognizer_by_name_folder_and_url(
    tiny: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = trained(tmp_path / "run", tiny)
    here = find_model("tiny", Store(run))
    assert (here.name, here.folder) == ("tiny", run / "models" / "tiny")
    assert find_model(str(tiny)).sha256 == here.sha256
    far = Store(f"{bucket}/a run")
    for file in (run / "models" / "tiny").iterdir():
        far.create(f"models/tiny/{file.name}", file.read_bytes())
    for strange in ("pytorch_model.bin", "modeling.py", "checkpoints/epoch-00001/model.safetensors", "identity.json"):
        far.create(f"models/tiny/{strange}", b"not to be fetched")
    for found in (find_model("tiny", far), find_model(f"{far.address}/models/tiny")):
        assert (found.name, found.sha256) == ("tiny", here.sha256)
        assert {path.name for path in found.folder.iterdir()} == {path.name for path in tiny.iterdir()}
    cached = local_copy(found.address, found.sha256)
    assert cached == found.folder
    assert [path.name for path in cached.parent.iterdir()] == [here.sha256]
    with pytest.raises(ModelError, match="not the model"):
        local_copy(found.address, "0" * 64)
    assert mner.load(cached, device="cpu").predict("Orla Finch sings")


def test_recognizers_that_are_none(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no recognizer 'tinny'.* has tiny"):
        find_model("tinny", Store(trained(tmp_path / "run", tiny)))
    with pytest.raises(ModelError, match=r"no recognizer .*nowhere"):
        find_model(str(tmp_path / "nowhere"))
    shutil.copytree(tiny, tmp_path / "models" / "begun")
    (tmp_path / "models" / "begun" / "identity.json").write_text("{}")
    with pytest.raises(ModelError, match="has not ended"):
        find_model("begun", Store(tmp_path))
    shutil.copytree(tiny, tmp_path / "a model")
    with pytest.raises(ModelError, match="rename it"):
        find_model(str(tmp_path / "a model"))
    shutil.copytree(tiny, tmp_path / "empty")
    (tmp_path / "empty" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no \*\.safetensors"):
        find_model(str(tmp_path / "empty"))
