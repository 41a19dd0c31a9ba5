"""predictions/<model>/<arm>/: what a recognizer says of an arm's posts, beside their gold labels."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from amia.accelerator import autocast
from amia.mixing.derangement import derange_images
from amia.mner.features import Example
from amia.mner.predictor import Recognizer, TaggedPost
from amia.mner.spans import label_names
from amia.mner.word_tokenizer import Word, words
from amia.utils.config import Dtype
from ray_jobs.stages.base import Stage
from ray_jobs.storage.layout import PREDICTIONS, arm_folder, shard_key
from ray_jobs.storage.model_store import local_copy
from ray_jobs.storage.schemas import prediction_schema
from ray_jobs.storage.shards import ShardMetadata, encode, halved, read_shard
from ray_jobs.storage.store import Store

__all__ = ["Predict"]

Row = dict[str, Any]

COLUMNS = ("id", "split", "text", "tokens", "tags", "ner_tags", "image", "theta", "image_status")


@dataclass(frozen=True, slots=True)
class Posts:
    """One shard's posts, and what of them the recognizer is to read."""

    rows: list[Row]
    cut: dict[int, list[Word]]
    """The words of posts that came without tokens, by place."""
    examples: dict[int, Example]
    """Of every post that has a word, by place."""


@dataclass(frozen=True, slots=True)
class Labeled:
    """One shard's posts with what was found in them."""

    rows: list[Row]
    num_oom_reduced: int
    """Posts whose micro-batch did not fit the memory."""


class Predict(Stage[Posts, Labeled]):
    """Augmented posts -> labels and entities. A post without any word comes out with none."""

    name = PREDICTIONS
    pool = "predict"
    version = 1

    def __init__(
        self,
        store: Store,
        identity: str,
        *,
        arm: str,
        folder: str,
        model: str,
        sha256: str,
        types: Sequence[str],
        apart: bool,
        swap: int | None,
        device: str,
        dtype: Dtype,
        micro_batch: int,
        threads: int,
        decoders: int = 1,
    ) -> None:
        """`model`: address of the recognizer's folder; `types`: the run's entity types, then others that it knows.

        `apart`: how it wants texts cut into words. `swap`: the seed by which images are exchanged, None: they stay.
        `threads`: of the model's arithmetic; `decoders`: threads that decode images.
        """
        super().__init__(store, identity)
        self._arm, self._folder, self._model, self._sha256 = arm, folder, model, sha256
        self._schema = prediction_schema(types)
        self._label = {name: number for number, name in enumerate(label_names(types))}
        self._apart, self._swap = apart, swap
        self._device, self._dtype, self._micro_batch, self._threads = device, dtype, micro_batch, threads
        self._decoders = decoders

    def keys(self, shard: str) -> list[str]:
        """In the folder of this model and arm."""
        return [f"{self._folder}/{shard}.parquet"]

    def setup(self) -> None:
        """Load the recognizer from this node's files, fetched once a node."""
        torch.set_num_threads(self._threads)
        self._recognizer = Recognizer.load(local_copy(self._model, self._sha256), self._device)
        self._batches = self._recognizer.batches(decoders=self._decoders)

    def load(self, shard: str) -> Posts:
        """The arm's rows; texts without tokens are cut into words, and images change places where they are to."""
        rows: list[Row] = read_shard(self.store, shard_key(arm_folder(self._arm), shard), COLUMNS).to_pylist()
        cut: dict[int, list[Word]] = {}
        for place, row in enumerate(rows):
            if row["tokens"] is None:
                cut[place] = words(row["text"], apart=self._apart)
                row["tokens"] = [word.text for word in cut[place]]
        images = [row.pop("image") for row in rows]
        pictures = [image and image["bytes"] for image in images]
        shown: list[int | None] = [None if image is None else place for place, image in enumerate(pictures)]
        if self._swap is not None:
            shown = derange_images([row["id"] for row in rows], pictures, self._swap)
        examples: dict[int, Example] = {}
        for place, (row, other) in enumerate(zip(rows, shown, strict=True)):
            row["seen"] = None if other is None else rows[other]["id"]
            if row["tokens"]:
                picture = None if other is None else pictures[other]
                examples[place] = Example(id=row["id"], tokens=tuple(row["tokens"]), image=picture)
        return Posts(rows, cut, examples)

    def run(self, loaded: Posts) -> Labeled:
        """Micro-batches never cross a shard, so a post's labels do not depend on the shards around it."""
        model, before = self._recognizer.model, self._recognizer.num_oom_reduced
        with autocast(model.device, self._dtype):
            tagged = self._recognizer.tag(
                list(loaded.examples.values()), batches=self._batches, micro_batch=self._micro_batch
            )
        found = dict(zip(loaded.examples, tagged, strict=True))
        for place, row in enumerate(loaded.rows):
            row["predicted_tags"] = [self._label[tag] for tag in found[place].tags] if place in found else []
            row["spans"] = _spans(row, found[place], loaded.cut.get(place)) if place in found else []
            if not model.reads_images:
                row["seen"] = None
        return Labeled(loaded.rows, self._recognizer.num_oom_reduced - before)

    def publish(self, shard: str, done: Labeled) -> ShardMetadata:
        """The rows; the footer says what became of their images, and how many entities there are of each type."""
        entities = Counter(span["type"] for row in done.rows for span in row["spans"])
        data, facts = encode(
            pa.Table.from_pylist(done.rows, self._schema),
            stage=self._folder,
            identity=self.identity,
            counts=Counter(f"image={'seen' if row['seen'] is not None else 'none'}" for row in done.rows),
            extra={"entities": dict(sorted(entities.items())), **halved(done.num_oom_reduced)},
            schema_metadata=self._schema.metadata,
        )
        self.store.create(self.keys(shard)[0], data)
        return facts


def _spans(row: Row, tagged: TaggedPost, cut: Sequence[Word] | None) -> list[Row]:
    spans: list[Row] = []
    for span, score in tagged.spans:
        start, end = (cut[span.start].start, cut[span.end - 1].end) if cut else (None, None)
        text = row["text"][start:end] if cut else " ".join(row["tokens"][span.start : span.end])
        about = {"start": span.start, "end": span.end, "type": span.type, "text": text, "score": score}
        spans.append({**about, "char_start": start, "char_end": end})
    return spans
