"""The file system of Ray Train: local folders are left to Ray Train, object stores are reached through obstore."""

import os
import pickle
from pathlib import Path

from pyarrow.fs import FileSelector, FileType

from ray_jobs.storage.store import Store
from ray_jobs.training.storage_filesystem import train_filesystem


def test_local_disk_needs_no_filesystem(tmp_path: Path) -> None:
    assert train_filesystem(Store(tmp_path), "models/a/ray") == (None, f"{tmp_path}/models/a/ray")


def test_object_store_after_pickling(bucket: str) -> None:
    store = Store(f"{bucket}/run")
    filesystem, path = train_filesystem(store, "models/a/ray")
    pickled = pickle.dumps(filesystem)
    assert os.environ["AWS_SECRET_ACCESS_KEY"].encode() not in pickled
    filesystem = pickle.loads(pickled)  # noqa: S301  # bytes of this test
    filesystem.create_dir(f"{path}/state")
    for content in (b"first", b"second"):
        with filesystem.open_output_stream(f"{path}/state/file") as file:
            file.write(content)
        with filesystem.open_input_stream(f"{path}/state/file") as file:
            assert file.read() == content
    assert store.list_sizes("") == {"models/a/ray/state/file": 6}
    infos = filesystem.get_file_info([f"{path}/state/file", f"{path}/state", f"{path}/other"])
    assert [info.type for info in infos] == [FileType.File, FileType.Directory, FileType.NotFound]
    paths = {info.path for info in filesystem.get_file_info(FileSelector(path, recursive=True))}
    assert paths == {f"{path}/state", f"{path}/state/file"}
    filesystem.delete_dir(f"{path}/state")
    assert store.list("") == {}
