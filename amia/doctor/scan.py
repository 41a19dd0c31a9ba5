"""Scan a corpus: read every post and decode every image to find problems."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from amia.doctor.duplicates import Occurrences, hash_value
from amia.doctor.findings import EXAMPLES, TINY, CorpusReport, SplitCounts
from amia.errors import ImageError
from amia.images import ImageSettings, decode, fetch_image, inspect
from amia.posts import Post, RawPost, Rejected, validate_post
from amia.readers import Corpus
from amia.text import clean_text

__all__ = ["scan_corpus"]

_CHUNK = 64
"""Posts whose images are in memory at a time."""


def scan_corpus(
    corpus: Corpus, settings: ImageSettings, on_progress: Callable[[int], object] | None = None
) -> CorpusReport:
    """Read every post and decode every image.

    `on_progress` is called after every chunk with the number of rows read so far. Memory: 24 bytes a post, and a chunk
    of images. If ids or texts repeat, the corpus is read a second time, without decoding, to locate some of them.
    Raises CorpusError if the corpus cannot be read.
    """
    report = CorpusReport(source=corpus.source, kind=corpus.kind, files=len(corpus.files), bytes=corpus.bytes)
    ids, texts = Occurrences(), Occurrences()
    rows = 0
    with ThreadPoolExecutor() as pool:
        for chunk in _chunks(corpus):
            rows += len(chunk)
            posts = []
            for raw in chunk:
                post = raw if isinstance(raw, Rejected) else validate_post(raw)
                if isinstance(post, Rejected):
                    report.rejected.add(post.reason, post.location)
                    continue
                posts.append(post)
                texts.add(post.text, post.split)
                if not isinstance(raw, Rejected) and raw.id is not None:  # posts without ids get distinct ones
                    ids.add(raw.id, post.split)
            images = pool.map(lambda post: _check_image(post, corpus, settings), posts)
            for post, image in zip(posts, images, strict=True):
                _count_post(report, post)
                _count_image(report, post, image)
            if on_progress is not None:
                on_progress(rows)
    report.ids, report.texts = ids.duplicates(), texts.duplicates()
    report.places = _locate_values(corpus, ids.repeated(EXAMPLES), texts.repeated(EXAMPLES))
    return report


def _chunks(corpus: Corpus) -> Iterator[list[RawPost | Rejected]]:
    rows = iter(corpus)
    while chunk := list(itertools.islice(rows, _CHUNK)):
        yield chunk


def _check_image(post: Post, corpus: Corpus, settings: ImageSettings) -> tuple[int, int] | ImageError | None:
    """Return the size of the post's image, the error if it is broken, or None if the post has no image."""
    if post.image is None and post.image_path is None:
        return None
    try:
        data = post.image if post.image is not None else fetch_image(corpus.image_root, post.image_path or "", settings)
        # Decoding at a small size reads every byte too, so it finds the same errors.
        decode(data, settings, at_least=TINY)
        return inspect(data, settings)
    except ImageError as error:
        return error


def _count_post(report: CorpusReport, post: Post) -> None:
    split = report.splits.setdefault(post.split, SplitCounts())
    report.posts += 1
    split.posts += 1
    split.tokens += len(post.tokens or ())
    if post.ner_tags is not None:
        entities = [tag[2:] for tag in post.ner_tags if tag.startswith("B-")]
        split.labeled += 1
        split.without_entity += not entities
        split.repaired += post.repaired
        split.entities.update(entities)
    if not any(character.isalnum() for character in clean_text(post.text)):
        report.empty.add("no letter or digit left", post.location)


def _count_image(report: CorpusReport, post: Post, image: tuple[int, int] | ImageError | None) -> None:
    if image is None:
        report.no_image += 1
    elif isinstance(image, ImageError):
        report.broken.add(image.reason, post.location)
    else:
        report.images += 1
        if min(image) < TINY:
            report.tiny.add(f"a side under {TINY} pixels", post.location)


def _locate_values(corpus: Corpus, ids: set[int], texts: set[int]) -> dict[str, list[str]]:
    """Return some locations of the ids and the texts with these hashes."""
    locations: dict[str, list[str]] = {}
    if not ids and not texts:
        return locations
    for raw in corpus:
        post = raw if isinstance(raw, Rejected) else validate_post(raw)
        if isinstance(post, Rejected):
            continue
        for column, value, hashes in (("id", post.id, ids), ("text", post.text, texts)):
            if hash_value(value) in hashes:
                examples = locations.setdefault(f"{column} {value[:60]!r}", [])
                if len(examples) < EXAMPLES:
                    examples.append(post.location)
    return locations
