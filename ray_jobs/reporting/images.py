"""Second pass over an arm: read text and images of the selected posts, and arrange them in groups."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from amia.errors import RunError
from amia.images import ImageSettings
from amia.mixing.arms import needs_synthesis
from amia.mner.spans import label_names, lenient_spans
from amia.report.entity_markup import TextPiece, mark_entities, plain_text
from amia.report.sampling import DECILES, decile_of
from amia.report.thumbnails import make_thumbnail
from amia.report.view_models import ImageGroup, ImageTriple
from amia.utils.prefetch import prefetch_map
from ray_jobs.reporting.scan import PostKey, PostRef, ScanResult
from ray_jobs.storage.arm import Arm
from ray_jobs.storage.layout import POSTS, SYNTHESIZED, arm_folder, shard_key
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.status import describe_status

__all__ = ["PostView", "group_posts", "read_post_views", "select_preview"]

THREADS = 3
"""Shards whose images are in memory at once."""
MIN_PREVIEW = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PostView:
    """Text and thumbnails of a selected post."""

    text: str
    pieces: Sequence[TextPiece]
    original: bytes | None
    synthesized: bytes | None
    augmented: bytes | None


def read_post_views(
    arm: Arm, types: Sequence[str], images: ImageSettings, posts: Iterable[PostRef]
) -> dict[PostKey, PostView]:
    """Read text and thumbnails of posts. `types` are the entity types, `images` the limits and size of images.

    Raises RunError if the folders of the run contain different posts in the same row.
    """
    by_shard: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for post in posts:
        by_shard[post.shard][post.row] = post.id
    labels = label_names(types)

    def read(item: tuple[str, Mapping[int, str]]) -> dict[PostKey, PostView]:
        return _read_views_of_shard(arm, item[0], item[1], labels, images)

    views: dict[PostKey, PostView] = {}
    for views_of_shard in prefetch_map(read, sorted(by_shard.items()), threads=THREADS):
        views |= views_of_shard
    return views


def group_posts(scan: ScanResult, views: Mapping[PostKey, PostView]) -> list[ImageGroup]:
    """Group posts by tenth of theta, sorted by theta and including the extremes, then posts without theta."""
    notes: dict[PostKey, list[str]] = {}
    extremes: dict[PostKey, PostRef] = {}
    for end, sample in scan.sample.extremes.items():
        for post in sample.items:
            notes.setdefault(post.key, []).append(end)
            extremes[post.key] = post
    groups = []
    for index, decile in enumerate(scan.sample.deciles):
        posts = {post.key: post for post in decile.items}
        posts |= {key: post for key, post in extremes.items() if decile_of(post.theta or 0.0) == index}
        ordered = sorted(posts.values(), key=lambda post: (post.theta or 0.0, post.id))
        title = f"θ {index / DECILES:.1f} – {(index + 1) / DECILES:.1f}"
        triples = [_make_triple(post, views[post.key], notes.get(post.key, ())) for post in ordered]
        groups.append(ImageGroup(title=title, posts=decile.seen, triples=triples))
    for title, sample in (("Without a valid image", scan.unusable), ("Without a matching score", scan.unscored)):
        triples = [_make_triple(post, views[post.key], ()) for post in sample.items]
        groups.append(ImageGroup(title=title, posts=sample.seen, triples=triples))
    return groups


def select_preview(scan: ScanResult, views: Mapping[PostKey, PostView]) -> list[ImageTriple]:
    """Select one post with both images for each tenth of theta; return nothing if there are fewer than MIN_PREVIEW."""
    triples = []
    for decile in scan.sample.deciles:
        with_images = (post for post in decile.items if views[post.key].original and views[post.key].augmented)
        if (post := next(with_images, None)) is not None:
            triples.append(_make_triple(post, views[post.key], ()))
    return triples if len(triples) >= MIN_PREVIEW else []


def _read_views_of_shard(
    arm: Arm, shard: str, ids: Mapping[int, str], labels: Sequence[str], images: ImageSettings
) -> dict[PostKey, PostView]:
    numbers = sorted(ids)
    folder = arm_folder(arm.name)
    rows = _read_rows(arm, shard_key(folder, shard), numbers, ("id", "text", "tokens", "ner_tags", "image"))
    originals = _read_rows(arm, shard_key(POSTS, shard), numbers, ("id", "image"))
    synthesized: list[dict[str, Any]] = [{"id": row["id"], "image": None} for row in rows]
    if needs_synthesis(arm.name) and arm.store.exists(shard_key(SYNTHESIZED, shard)):
        synthesized = _read_rows(arm, shard_key(SYNTHESIZED, shard), numbers, ("id", "image"))
    views: dict[PostKey, PostView] = {}
    for number, row, original, synthesis in zip(numbers, rows, originals, synthesized, strict=True):
        if not ids[number] == row["id"] == original["id"] == synthesis["id"]:
            raise RunError(
                f"{shard} in {arm.store.address}: row {number} is post {row['id']} in {folder} but another post in "
                "other folders: the folders are from different runs"
            )
        tags = row["tokens"] and row["ner_tags"] and [labels[label] for label in row["ner_tags"]]
        views[shard, number] = PostView(
            text=row["text"],
            pieces=mark_entities(row["tokens"], lenient_spans(tags)) if tags else plain_text(row["text"]),
            original=make_thumbnail(original["image"] and original["image"]["bytes"], images),
            synthesized=make_thumbnail(synthesis["image"], images),
            augmented=make_thumbnail(row["image"] and row["image"]["bytes"], images),
        )
    return views


def _read_rows(arm: Arm, key: str, numbers: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
    table = read_shard(arm.store, key, columns)
    return list(table.take(pa.array(numbers, pa.int64())).to_pylist())


def _make_triple(post: PostRef, view: PostView, notes: Sequence[str]) -> ImageTriple:
    statuses = (f"image={post.image_status}", f"synthesis={post.synthesis_status}")
    remarks = [describe_status(status) for status in statuses if not status.endswith(("=ok", "=not_asked"))]
    return ImageTriple(
        id=post.id,
        split=post.split,
        pieces=view.pieces,
        original=view.original,
        synthesized=view.synthesized,
        augmented=view.augmented,
        theta=post.theta,
        theta_synthesized=post.theta_synthesized,
        ratio=post.ratio,
        loss=post.loss,
        cosine=post.cosine,
        notes=[*remarks, *notes],
    )
