"""The second look: text and images of the chosen posts alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from amia.errors import RunError
from amia.images import ImageSettings
from amia.mixing.arms import needs_synthesis
from amia.mner.spans import label_names, lenient_spans
from amia.report.entity_markup import TextPiece, mark_entities, plain
from amia.report.thumbnails import thumbnail
from amia.utils.prefetch import prefetch_map
from ray_jobs.reporting.scan import PostRef
from ray_jobs.storage.arm import Arm
from ray_jobs.storage.layout import POSTS, SYNTHESIZED, arm_folder, shard_key
from ray_jobs.storage.shards import read_shard

__all__ = ["PostView", "read_post_views"]

THREADS = 3
"""Shards whose images are in memory at once."""

Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostView:
    """What a chosen post looks like."""

    text: str
    pieces: Sequence[TextPiece]
    original: bytes | None
    synthesized: bytes | None
    augmented: bytes | None


def read_post_views(
    arm: Arm, types: Sequence[str], images: ImageSettings, places: Iterable[PostRef]
) -> dict[Key, PostView]:
    """Text and thumbnails of posts, by shard and row. `types` name the labels; `images`: limits and geometry.

    Raises RunError when folders of the run hold other posts at the same place.
    """
    by_shard: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for place in places:
        by_shard[place.shard][place.row] = place.id
    labels = label_names(types)

    def read(item: tuple[str, Mapping[int, str]]) -> dict[Key, PostView]:
        return _of_shard(arm, item[0], item[1], labels, images)

    found: dict[Key, PostView] = {}
    for some in prefetch_map(read, sorted(by_shard.items()), threads=THREADS):
        found |= some
    return found


def _of_shard(
    arm: Arm, shard: str, ids: Mapping[int, str], labels: Sequence[str], images: ImageSettings
) -> dict[Key, PostView]:
    numbers = sorted(ids)
    folder = arm_folder(arm.name)
    rows = _rows(arm, shard_key(folder, shard), numbers, ("id", "text", "tokens", "ner_tags", "image"))
    originals = _rows(arm, shard_key(POSTS, shard), numbers, ("id", "image"))
    drawn: list[dict[str, Any]] = [{"id": row["id"], "image": None} for row in rows]
    if needs_synthesis(arm.name) and arm.store.exists(shard_key(SYNTHESIZED, shard)):
        drawn = _rows(arm, shard_key(SYNTHESIZED, shard), numbers, ("id", "image"))
    found: dict[Key, PostView] = {}
    for number, row, original, picture in zip(numbers, rows, originals, drawn, strict=True):
        if not ids[number] == row["id"] == original["id"] == picture["id"]:
            raise RunError(
                f"{shard} in {arm.store.address}: row {number} is post {row['id']} in {folder} but another one "
                "elsewhere: the run's folders do not belong together"
            )
        tags = row["tokens"] and row["ner_tags"] and [labels[label] for label in row["ner_tags"]]
        found[shard, number] = PostView(
            text=row["text"],
            pieces=mark_entities(row["tokens"], lenient_spans(tags)) if tags else plain(row["text"]),
            original=thumbnail(original["image"] and original["image"]["bytes"], images),
            synthesized=thumbnail(picture["image"], images),
            augmented=thumbnail(row["image"] and row["image"]["bytes"], images),
        )
    return found


def _rows(arm: Arm, key: str, numbers: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
    table = read_shard(arm.store, key, columns)
    return list(table.take(pa.array(numbers, pa.int64())).to_pylist())
