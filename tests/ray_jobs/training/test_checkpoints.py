"""Epochs that stand in a run, among whatever else lies there."""

from pathlib import Path

from ray_jobs.storage.store import Store
from ray_jobs.training.checkpoints import StoreCheckpoints


def test_folders_that_are_no_epoch_are_not_looked_at(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = StoreCheckpoints(store, "models/a/checkpoints")
    for folder in ("epoch-x", "epoch-", "epoch--0001", "old", "epoch-00009/inside", "epoch-00003 (copy)"):
        store.create(f"models/a/checkpoints/{folder}/state.json", b"{}")
    store.create("models/a/checkpoints/epoch-00007/evil.pkl", b"\x80\x04N.")
    assert kept.load_latest() is None
    kept.save(2, {"state.json": b"{}", "model.safetensors": b"weights"}, 2)
    assert kept.load_latest() == {"state.json": b"{}", "model.safetensors": b"weights"}
