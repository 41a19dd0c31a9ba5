"""First pass of ingest, part 1: reads a split of the source and writes its posts by bucket."""

from collections.abc import Sequence

from amia.posts import Rejected, hash_post, validate_post
from amia.readers import Corpus
from amia.readers.image_folder import ImageFolder
from amia.readers.safety.json_lines import Span
from amia.readers.splits import Split, read_split
from ray_jobs.stages.base import Stage
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.shards import ShardMetadata
from ray_jobs.storage.split_files import SplitIndex, SplitWriter, split_file
from ray_jobs.storage.store import Store

__all__ = ["ReadSplit"]


class ReadSplit(Stage[int, SplitIndex]):
    """A split of the source -> parts of scratch and their index. A shard is the number of a split: `00003`."""

    name = "read"
    pool = "read"
    version = 2

    def __init__(
        self,
        store: Store,
        *,
        folder: str,
        corpus: Corpus,
        splits: Sequence[Split],
        seed: int,
        buckets: int,
        with_bodies: bool,
    ) -> None:
        """`folder` is the scratch of this source, which its name identifies; `with_bodies` as in `SplitWriter`."""
        super().__init__(store)
        self._folder, self._corpus, self._splits, self._seed, self._buckets = folder, corpus, splits, seed, buckets
        self._with_bodies = with_bodies
        self._images = ImageFolder(None)

    def identity(self, folder: str) -> Identity:
        """Return what scratch depends on; its name is the digest of the source."""
        return {"stage": self.name, "version": self.version, "input": {"scratch": self._folder}}

    def setup(self) -> None:
        """List the images that are named by the ids of their posts."""
        self._images = self._corpus.list_images()

    def keys(self, shard: str) -> list[str]:
        """Return the key of the split's index, which is published after its parts."""
        return [split_file(self._folder, shard)]

    def load(self, shard: str) -> int:
        """Return the number of the split; its posts do not fit into memory."""
        return int(shard)

    def run(self, loaded: int) -> SplitIndex:
        """Read, check and hash each post of the split, and write the parts."""
        writer = SplitWriter(
            self.store,
            self._folder,
            f"{loaded:05d}",
            seed=self._seed,
            buckets=self._buckets,
            with_bodies=self._with_bodies,
        )
        span = Span()
        for raw in read_split(self._corpus, self._splits[loaded], self._images, span):
            if isinstance(raw, Rejected):
                writer.reject(raw)
                continue
            post = validate_post(raw)
            if isinstance(post, Rejected):
                writer.reject(post)
                continue
            content, body = hash_post(raw)
            writer.add(post, has_source_id=raw.id is not None, content=content, body=body)
        return writer.finish(span.lines)

    def publish(self, shard: str, done: SplitIndex) -> ShardMetadata:
        """Publish the index."""
        self.store.create(self.keys(shard)[0], done.to_json())
        return ShardMetadata(stage=self.name, rows=done.posts, sha256="", identity="")
