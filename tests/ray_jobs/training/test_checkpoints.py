"""Checkpoints of a training among other files."""

from pathlib import Path

from ray_jobs.storage.store import Store
from ray_jobs.training.checkpoints import StoreCheckpoints


def test_ignores_folders_that_are_not_epochs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    checkpoints = StoreCheckpoints(store, "models/a/checkpoints")
    for folder in ("epoch-x", "epoch-", "epoch--0001", "old", "epoch-00009/inside", "epoch-00003 (copy)"):
        store.create(f"models/a/checkpoints/{folder}/state.json", b"{}")
    store.create("models/a/checkpoints/epoch-00007/evil.pkl", b"\x80\x04N.")
    assert checkpoints.load_latest() is None
    checkpoints.save(2, {"state.json": b"{}", "model.safetensors": b"weights"}, 2)
    assert checkpoints.load_latest() == {"state.json": b"{}", "model.safetensors": b"weights"}
