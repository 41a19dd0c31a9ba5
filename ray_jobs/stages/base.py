"""What a stage is: set up once an actor, then one shard in, one shard out."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Generic, TypeVar

from amia.errors import ImageError, RunError
from ray_jobs.storage.shards import ShardMetadata
from ray_jobs.storage.status import is_failure
from ray_jobs.storage.store import Store

__all__ = ["Stage", "encoding_context", "failed_ids_by_status", "post_context"]

Loaded = TypeVar("Loaded")
Done = TypeVar("Done")


class Stage(ABC, Generic[Loaded, Done]):
    """One step of the job. It travels to its actors by pickle, so it holds settings and addresses, never a model.

    `load` and `publish` run in threads beside `run`, for the shard after and the shard before: they must not touch
    what `setup` loaded unless that is safe to share. A stage never talks to another stage; only published shards pass
    between. Whatever goes wrong with one post is caught at the post and recorded in its status; what goes wrong with
    a whole shard raises.
    """

    name: ClassVar[str]
    """Its name, and the folder of the run that it writes to."""
    pool: ClassVar[str]
    """Its actors' place in the settings: `pools.<pool>`."""
    version: ClassVar[int]
    """Raised by hand whenever the stage's output changes for the same settings and input."""

    def __init__(self, store: Store, identity: str) -> None:
        self.store = store
        self.identity = identity
        """Digest of the identity that its folder was claimed with."""

    def setup(self) -> None:  # a stage without a model has nothing to set up
        """Load the model; called once in each actor, before its first shard."""

    def keys(self, shard: str) -> list[str]:
        """What it publishes for a shard."""
        return [f"{self.name}/{shard}.parquet"]

    @abstractmethod
    def load(self, shard: str) -> Loaded:
        """Fetch and decode a shard's input. Own thread, no model."""

    @abstractmethod
    def run(self, loaded: Loaded) -> Done:
        """The stage's work on one shard. The actor's main thread."""

    @abstractmethod
    def publish(self, shard: str, done: Done) -> ShardMetadata:
        """Encode the shard and publish it under its final name, unless somebody was first. Own thread."""

    def failures(self, done: Done) -> dict[str, list[str]]:
        """Ids of the posts of one shard that failed in this very stage, by status; most stages fail at none."""
        return {}


def failed_ids_by_status(part: str, ids: Iterable[str], statuses: Iterable[str]) -> dict[str, list[str]]:
    """What `failures` returns, from a column of statuses: `{"image=bad_image(empty)": ["17", "29"]}`."""
    found: dict[str, list[str]] = {}
    for post_id, status in zip(ids, statuses, strict=True):
        if is_failure(status):
            found.setdefault(f"{part}={status}", []).append(post_id)
    return found


@contextmanager
def post_context(post_id: str) -> Iterator[None]:
    """Names the post where a stored image, which could be decoded once, stops a stage: no failure of the post's."""
    try:
        yield
    except ImageError as error:
        raise RunError(
            f"post {post_id}: its stored image cannot be decoded here ({error}), though it could where it was stored: "
            "install the same versions of Pillow and simplejpeg on every machine"
        ) from error


@contextmanager
def encoding_context(post_id: str) -> Iterator[None]:
    """Names the post whose image could not be made a file: the machine's fault, not the post's."""
    try:
        yield
    except Exception as error:  # whatever Pillow raises, of memory above all
        raise RunError(
            f"post {post_id}: its image could not be encoded ({type(error).__name__}: {error}): mend Pillow, or give "
            "this machine more memory, and start the same command again"
        ) from error
