"""The interface of a stage: set up once per actor, then one shard in, one shard out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amia.errors import ImageError, RunError
from amia.matching.settings import ClipSettings
from amia.utils.config import Compile, Dtype
from ray_jobs.storage import fingerprint
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.layout import shard_key
from ray_jobs.storage.shards import ShardMetadata, read_metadata
from ray_jobs.storage.status import is_failure
from ray_jobs.storage.store import Store

if TYPE_CHECKING:
    from amia.matching.clip import ClipEncoder

__all__ = [
    "Stage",
    "accelerator_identity",
    "clip_identity",
    "encoding_context",
    "failed_ids_by_status",
    "load_encoder",
    "post_context",
    "preprocess_images",
]

MAX_DECODED = 8
"""Decoded photographs in memory at the same time, over all threads. Each takes some megabytes."""

Loaded = TypeVar("Loaded")
Done = TypeVar("Done")


class Stage(ABC, Generic[Loaded, Done]):
    """A step of a job that maps each shard of its input to one shard of its output.

    A stage is pickled and sent to its actors, so it holds settings and addresses, never a model.

    While `run` processes one shard, `load` and `publish` run in threads for the next and the previous shard. They may
    only use what `setup` loaded if that is thread-safe. Stages never communicate with each other: they exchange
    published shards. The failure of a single post is caught and recorded in the status of the post; any other failure
    of a shard raises.
    """

    name: ClassVar[str]
    """Name of the stage, which is also the folder of the run that it writes to."""
    pool: ClassVar[str]
    """Name of the settings of its actors: `pools.<pool>`."""
    version: ClassVar[int]
    """Raised by hand whenever the output changes for the same settings and input."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._digests: dict[str, str] = {}
        self._footers: dict[str, ShardMetadata] = {}

    def folders(self) -> list[str]:
        """Return the folders of the store that the stage writes to. Each has an identity."""
        return [self.name]

    @abstractmethod
    def identity(self, folder: str) -> Identity:
        """Return what the content of `folder` depends on: stage, version, settings and digests of the input."""

    def digest(self, folder: str | None = None) -> str:
        """Return the digest of the identity of a folder. Default: the only folder of the stage."""
        folder = folder or self.folders()[0]
        if folder not in self._digests:
            self._digests[folder] = fingerprint.digest(self.identity(folder))
        return self._digests[folder]

    def check_or_write_identity(self, *, advice: str = fingerprint.ADVICE) -> None:
        """Write the identity of each folder, or compare it with the existing one.

        Raises IdentityError, ending with `advice`, if a folder was made with other settings or input.
        """
        for folder in self.folders():
            fingerprint.check_or_write_identity(self.store, folder, self.identity(folder), advice=advice)

    def setup(self) -> None:  # a stage without a model has nothing to set up
        """Load the model. Called once in each actor, before its first shard."""

    def keys(self, shard: str) -> list[str]:
        """Return the keys of the files that the stage publishes for a shard."""
        return [shard_key(folder, shard) for folder in self.folders()]

    @abstractmethod
    def load(self, shard: str) -> Loaded:
        """Fetch and decode the input of a shard. Runs in a separate thread, without the model."""

    @abstractmethod
    def run(self, loaded: Loaded) -> Done:
        """Process one shard. Runs in the main thread of the actor."""

    @abstractmethod
    def publish(self, shard: str, done: Done) -> ShardMetadata:
        """Encode the shard and publish it under its final name, unless it exists. Runs in a separate thread."""

    def create_shard(self, key: str, data: bytes, metadata: ShardMetadata) -> ShardMetadata:
        """Publish a file of a shard, unless it exists. Returns the footer of the published file, for the driver."""
        if not self.store.create(key, data):
            metadata = read_metadata(self.store, key)  # another process was faster, with other bytes
        return self.record_footer(key, metadata)

    def record_footer(self, key: str, metadata: ShardMetadata) -> ShardMetadata:
        """Keep the footer of a published file for the driver, which need not read it then. Returns it."""
        self._footers[key] = metadata
        return metadata

    def take_footers(self) -> dict[str, ShardMetadata]:
        """Return the recorded footers by key, and forget them."""
        footers, self._footers = self._footers, {}
        return footers

    def failures(self, done: Done) -> dict[str, list[str]]:
        """Return the ids of the posts of one shard that failed in this stage, by status. Default: none."""
        return {}

    def log_fields(self, done: Done) -> dict[str, Any]:
        """Return additional fields for the shard's line in the run's log. Default: none.

        `oom_reduced` (inputs that needed a smaller micro-batch after an out-of-memory error) is also counted in the
        metrics; `uncompiled` gives the reason for each part of a model that could not be compiled.
        """
        return {}


def accelerator_identity(dtype: Dtype, device: str, compile_model: Compile | None = None) -> dict[str, Any]:
    """Return the precision and the compilation of a stage's model, as they enter its identity.

    `device` is the one that the driver resolved. The driver does not see the GPUs of the actors, so `auto` is recorded
    as `half` on a GPU: the actor chooses between bfloat16 and float16. `compile_model` is None for models that are
    never compiled. Compilation and channels-last layout change the last bits of a result.
    """
    on_gpu = device != "cpu"
    fields: dict[str, Any] = {"dtype": dtype if dtype != "auto" else "half" if on_gpu else "float32"}
    if compile_model is not None:
        compiled = on_gpu if compile_model == "auto" else compile_model
        if on_gpu:
            fields["channels_last"] = True
        if on_gpu or compiled:
            fields["compile"] = compiled
    return fields


def clip_identity(clip: ClipSettings, weights: str) -> dict[str, Any]:
    """Return the encoder with its precision and micro-batch, as they enter the identity of a stage."""
    accelerator = accelerator_identity(clip.dtype, clip.device, clip.compile)
    return {"weights": weights, "micro_batch": clip.micro_batch, **accelerator}


def load_encoder(clip: ClipSettings, threads: int) -> "ClipEncoder":
    """Load CLIP from the files of this node, for an actor with `threads` threads."""
    import torch  # not at the top: the driver only passes the stage on and should not wait for it

    from amia.matching.clip import ClipEncoder

    ClipEncoder.fetch(clip)  # once per node: the hub's cache lets a single actor download
    torch.set_num_threads(threads)
    return ClipEncoder.load(clip, local_files_only=True)


def preprocess_images(
    encoder: "ClipEncoder", decode_image: Callable[[int], Image.Image], rows: Sequence[int], decoders: int
) -> NDArray[np.uint8]:
    """Return the images of `rows` in the input size of the encoder, `[n, 3, h, w]`, decoded by `decoders` threads."""
    chunk_size = max(1, MAX_DECODED // decoders)
    chunks = [rows[start : start + chunk_size] for start in range(0, len(rows), chunk_size)]
    # A GPU embeds ten times as fast as one thread decodes, and Pillow releases the GIL.
    with ThreadPoolExecutor(decoders, "decode") as pool:
        pixels = list(pool.map(lambda chunk: encoder.preprocess([decode_image(row) for row in chunk]), chunks))
    return np.concatenate(pixels) if pixels else encoder.preprocess([])


def failed_ids_by_status(part: str, ids: Iterable[str], statuses: Iterable[str]) -> dict[str, list[str]]:
    """Return the result of `Stage.failures` for a column of statuses: `{"image=bad_image(empty)": ["17", "29"]}`."""
    failed: dict[str, list[str]] = {}
    for post_id, status in zip(ids, statuses, strict=True):
        if is_failure(status):
            failed.setdefault(f"{part}={status}", []).append(post_id)
    return failed


@contextmanager
def post_context(post_id: str) -> Iterator[None]:
    """Turn an ImageError for a stored image into a RunError that names the post.

    The image was decoded when it was stored, so the cause is this machine and not the post.
    """
    try:
        yield
    except ImageError as error:
        raise RunError(
            f"post {post_id}: its stored image cannot be decoded here ({error}), but was decoded where it was stored: "
            "install the same versions of Pillow and simplejpeg on every machine"
        ) from error


@contextmanager
def encoding_context(post_id: str) -> Iterator[None]:
    """Turn any error while an image is encoded into a RunError that names the post.

    The pixels are valid, so the cause is this machine and not the post.
    """
    try:
        yield
    except Exception as error:  # Pillow raises errors of several kinds, MemoryError among them
        raise RunError(
            f"post {post_id}: its image could not be encoded ({type(error).__name__}: {error}): repair the "
            "installation of Pillow, or give this machine more memory, and start the same command again"
        ) from error
