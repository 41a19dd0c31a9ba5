"""New generations of shards without the posts that are being removed: the stage of `amia remove`."""

import json
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from amia.synthesis.seeds import post_seed, redraw_seed
from ray_jobs.stages.base import Stage
from ray_jobs.storage import footers
from ray_jobs.storage.fingerprint import Identity, read_identity
from ray_jobs.storage.footers import Footer
from ray_jobs.storage.layout import (
    AUGMENTED,
    EMBEDDINGS,
    POSTS,
    PREDICTIONS,
    REMOVALS,
    RETRY_DIR,
    SCORES,
    SYNTHESIZED,
    SYNTHESIZED_SCORES,
    shard_key,
)
from ray_jobs.storage.plan import ingested_name
from ray_jobs.storage.removals import read_intent, rows_that_stay
from ray_jobs.storage.shards import ShardMetadata, metadata_of, read_shard, with_rows
from ray_jobs.storage.store import Store

__all__ = ["RemovePosts", "part_file"]

FOOTERS = {
    POSTS: footers.describe_posts,
    EMBEDDINGS: footers.describe_embeddings,
    SYNTHESIZED_SCORES: footers.describe_synthesized_scores,
    AUGMENTED: footers.describe_augmented,
    PREDICTIONS: footers.describe_predictions,
}
"""Functions that describe the rows of a shard, by folder, for those that need nothing else."""


class RemovePosts(Stage[pa.Table, pa.Table]):
    """A shard of posts -> its new generation in every folder. A shard keeps its name if it is not published there."""

    name = REMOVALS
    pool = "fetch"
    version = 1

    def __init__(self, store: Store, *, number: int, plan: str, folders: Sequence[str]) -> None:
        """`number` is that of the removal, `plan` the digest of the plan, `folders` those that hold shards."""
        super().__init__(store)
        self._number, self._plan, self._folders = number, plan, list(folders)

    def folders(self) -> list[str]:
        """Return no folder: the identities stay those of the previous generation."""
        return []

    def identity(self, folder: str) -> Identity:
        """Return an empty identity, which is never written."""
        return {}

    def setup(self) -> None:
        """Read what is removed, and the settings that the footers depend on."""
        self._tombstones = frozenset(read_intent(self.store, self._number).tombstones)
        self._identities = {folder: read_identity(self.store, folder) or {} for folder in (SCORES, SYNTHESIZED)}

    def keys(self, shard: str) -> list[str]:
        """Return the key of the shard's part, which is published after its new generation in all folders."""
        return [part_file(self._number, shard)]

    def load(self, shard: str) -> pa.Table:
        """Read the posts without their images."""
        return read_shard(self.store, shard_key(POSTS, shard), ["id", "split", "ner_tags"])

    def run(self, loaded: pa.Table) -> pa.Table:
        """Return the posts that are removed."""
        return loaded.filter(pc.invert(rows_that_stay(loaded, self._plan, self._tombstones)))

    def publish(self, shard: str, done: pa.Table) -> ShardMetadata:
        """Publish the new generation, one folder after the other, and then the part with the numbers of posts."""
        new = f"{ingested_name(shard)}-r{self._number}"
        for folder in self._folders:
            if self.store.exists(key := shard_key(folder, shard)):
                table = read_shard(self.store, key)
                stays = rows_that_stay(table, self._plan, self._tombstones)
                if (rows := table.filter(stays)).num_rows:
                    gone = table.filter(pc.invert(stays))
                    data = with_rows(table, rows, self._footer(folder, table, rows, gone))
                    self.store.create(shard_key(folder, new), data)
        labeled = len(done) - done["ner_tags"].null_count
        part = {"shard": shard, "posts": dict(Counter(done["split"].to_pylist())), "labeled": labeled}
        self.store.create(self.keys(shard)[0], json.dumps(part, sort_keys=True).encode())
        return ShardMetadata(stage=self.name, rows=len(done), sha256="", identity="")

    def _footer(self, folder: str, table: pa.Table, rows: pa.Table, gone: pa.Table) -> Footer:
        if folder == SCORES:
            return footers.describe_scores(rows, float(self._identities[SCORES]["settings"]["margin"]))
        if folder in (SYNTHESIZED, RETRY_DIR):
            redraws = metadata_of(table).extra["redraws"] - sum(map(self._redraws, gone.to_pylist()))
            return footers.describe_synthesized(rows, max(0, redraws))
        return FOOTERS[folder.partition("/")[0]](rows)

    def _redraws(self, row: dict[str, object]) -> int:
        """Return how often the image of a row was generated again, which its seed tells."""
        settings = self._identities[SYNTHESIZED]["settings"]
        first = post_seed(settings["seed"], str(row["id"]))
        redraws = range(1, settings["generator"]["redraws"] + 1)
        return next((redraw for redraw in redraws if row["seed"] == redraw_seed(first, redraw)), 0)


def part_file(number: int, shard: str) -> str:
    """Return the key of what a removal took out of a shard."""
    return f"{REMOVALS}/{number:04d}/{shard}.json"
