"""Predict the labels and entities of an arm's posts: `predictions/<model>/<arm>/`."""

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
from amia.mner.word_tokenizer import Word, split_words
from amia.utils.config import Dtype
from ray_jobs.stages.base import Stage, accelerator_identity
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.footers import describe_predictions
from ray_jobs.storage.layout import PREDICTIONS, arm_folder, shard_key
from ray_jobs.storage.model_store import local_copy
from ray_jobs.storage.schemas import prediction_schema
from ray_jobs.storage.shards import ShardMetadata, encode, read_shard
from ray_jobs.storage.store import Store

__all__ = ["Predict"]

Row = dict[str, Any]

COLUMNS = ("id", "split", "text", "tokens", "tags", "ner_tags", "image", "theta", "image_status")


@dataclass(frozen=True, slots=True)
class PredictInputs:
    """Posts of one shard, prepared for the recognizer."""

    rows: list[Row]
    words: dict[int, list[Word]]
    """Row index -> words of the text, for posts that were read without tokens."""
    examples: dict[int, Example]
    """Row index -> input of the recognizer, for posts with at least one word."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Posts of one shard with predicted labels and entities."""

    rows: list[Row]
    num_oom_reduced: int
    """Number of posts that needed a smaller micro-batch after an out-of-memory error."""


class Predict(Stage[PredictInputs, Predictions]):
    """Map augmented posts to labels and entities. A post without words gets none."""

    name = PREDICTIONS
    pool = "predict"
    version = 1

    def __init__(
        self,
        store: Store,
        *,
        arm: str,
        arm_digest: str,
        folder: str,
        model: str,
        sha256: str,
        types: Sequence[str],
        split_signs: bool,
        swap_seed: int | None,
        device: str,
        dtype: Dtype,
        micro_batch: int,
        threads: int,
        decode_threads: int = 1,
    ) -> None:
        """Create the stage.

        Args:
            store: The run.
            arm: Arm whose posts are predicted.
            arm_digest: Digest of the content of the arm.
            folder: Folder of the predictions.
            model: Address of the recognizer's folder.
            sha256: Hash of the recognizer's files.
            types: Entity types of the run, then further types of the recognizer.
            split_signs: How the recognizer expects texts to be split into words.
            swap_seed: Seed of the swap of images among the posts; None keeps each post's own image.
            device: Device of the recognizer.
            dtype: Precision of the recognizer.
            micro_batch: Posts per forward pass.
            threads: Number of threads for the recognizer's arithmetic.
            decode_threads: Number of threads that decode images.
        """
        super().__init__(store)
        self._arm, self._arm_digest, self._folder = arm, arm_digest, folder
        self._model, self._sha256 = model, sha256
        self._schema = prediction_schema(types)
        self._label_ids = {name: number for number, name in enumerate(label_names(types))}
        self._split_signs, self._swap_seed = split_signs, swap_seed
        self._device, self._dtype, self._micro_batch, self._threads = device, dtype, micro_batch, threads
        self._decode_threads = decode_threads

    def folders(self) -> list[str]:
        """Return the folder of this model and arm."""
        return [self._folder]

    def identity(self, folder: str) -> Identity:
        """Return precision, micro-batch, seed of the swap, threads, and the digests of model and arm."""
        return {
            "stage": folder,
            "version": self.version,
            "settings": {
                "micro_batch": self._micro_batch,
                "swap": self._swap_seed,
                "threads": self._threads,
                **accelerator_identity(self._dtype, self._device),
            },
            "input": {"model": self._sha256, "arm": self._arm_digest},
        }

    def setup(self) -> None:
        """Load the recognizer from the files on this node, which are fetched once per node."""
        torch.set_num_threads(self._threads)
        self._recognizer = Recognizer.load(local_copy(self._model, self._sha256), self._device)
        self._collator = self._recognizer.make_collator(decode_threads=self._decode_threads)

    def load(self, shard: str) -> PredictInputs:
        """Read the arm's rows, split texts without tokens into words, and swap images if the stage is set to."""
        rows: list[Row] = read_shard(self.store, shard_key(arm_folder(self._arm), shard), COLUMNS).to_pylist()
        words: dict[int, list[Word]] = {}
        for index, row in enumerate(rows):
            if row["tokens"] is None:
                words[index] = split_words(row["text"], split_signs=self._split_signs)
                row["tokens"] = [word.text for word in words[index]]
        structs = [row.pop("image") for row in rows]
        images = [struct and struct["bytes"] for struct in structs]
        sources: list[int | None] = [None if image is None else index for index, image in enumerate(images)]
        if self._swap_seed is not None:
            sources = derange_images([row["id"] for row in rows], images, self._swap_seed)
        examples: dict[int, Example] = {}
        for index, (row, source) in enumerate(zip(rows, sources, strict=True)):
            row["seen"] = None if source is None else rows[source]["id"]
            if row["tokens"]:
                image = None if source is None else images[source]
                examples[index] = Example(id=row["id"], tokens=tuple(row["tokens"]), image=image)
        return PredictInputs(rows, words, examples)

    def run(self, loaded: PredictInputs) -> Predictions:
        """Predict one shard. Micro-batches never cross shards, so results do not depend on neighboring shards."""
        model, before = self._recognizer.model, self._recognizer.num_oom_reduced
        with autocast(model.device, self._dtype):
            tagged_posts = self._recognizer.tag(
                list(loaded.examples.values()), collator=self._collator, micro_batch=self._micro_batch
            )
        tagged = dict(zip(loaded.examples, tagged_posts, strict=True))
        for index, row in enumerate(loaded.rows):
            post = tagged.get(index)
            row["predicted_tags"] = [] if post is None else [self._label_ids[tag] for tag in post.tags]
            row["spans"] = [] if post is None else _to_span_rows(row, post, loaded.words.get(index))
            if not model.reads_images:
                row["seen"] = None
        return Predictions(loaded.rows, self._recognizer.num_oom_reduced - before)

    def publish(self, shard: str, done: Predictions) -> ShardMetadata:
        """Publish the rows. The footer counts posts with and without an image, and entities by type."""
        table = pa.Table.from_pylist(done.rows, self._schema)
        data, metadata = encode(
            table,
            stage=self._folder,
            identity=self.digest(),
            schema_metadata=self._schema.metadata,
            **describe_predictions(table),
        )
        return self.create_shard(self.keys(shard)[0], data, metadata)

    def log_fields(self, done: Predictions) -> dict[str, Any]:
        """Return the number of posts that needed a smaller micro-batch."""
        return {"oom_reduced": done.num_oom_reduced}


def _to_span_rows(row: Row, post: TaggedPost, words: Sequence[Word] | None) -> list[Row]:
    """Convert entities to rows of column `spans`. Character offsets are known only if the text was split here."""
    spans: list[Row] = []
    for span, score in post.spans:
        char_start, char_end = (words[span.start].start, words[span.end - 1].end) if words else (None, None)
        text = row["text"][char_start:char_end] if words else " ".join(row["tokens"][span.start : span.end])
        spans.append(
            {
                "start": span.start,
                "end": span.end,
                "type": span.type,
                "text": text,
                "score": score,
                "char_start": char_start,
                "char_end": char_end,
            }
        )
    return spans
