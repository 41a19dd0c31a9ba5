"""Reading every post and decoding every image, to see what is wrong with them."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from amia.doctor.duplicates import Occurrences, fingerprint
from amia.doctor.findings import EXAMPLES, TINY, CorpusReport, SplitCounts
from amia.errors import ImageError
from amia.images import ImageSettings, decode, fetch_image, inspect
from amia.posts import Post, RawPost, Rejected, validate_post
from amia.readers import Corpus
from amia.text import clean_text

__all__ = ["scan_corpus"]

_CHUNK = 64
"""Posts whose images are in memory at once."""


def scan_corpus(corpus: Corpus, settings: ImageSettings, tick: Callable[[int], object] | None = None) -> CorpusReport:
    """Reads every post and decodes every image; `tick` is called now and then with the number of rows read so far.

    Memory: 24 bytes a post, and a chunk of images. Where ids or texts repeat, the corpus is read a second time, without
    decoding, to say where a few of them stand. Raises CorpusError as reading does.
    """
    found = CorpusReport(source=corpus.source, kind=corpus.kind, files=len(corpus.files), bytes=corpus.bytes)
    ids, texts = Occurrences(), Occurrences()
    rows = 0
    with ThreadPoolExecutor() as pool:
        for chunk in _chunks(corpus):
            rows += len(chunk)
            posts = []
            for raw in chunk:
                post = raw if isinstance(raw, Rejected) else validate_post(raw)
                if isinstance(post, Rejected):
                    found.rejected.add(post.reason, post.location)
                    continue
                posts.append(post)
                texts.add(post.text, post.split)
                if not isinstance(raw, Rejected) and raw.id is not None:  # equal posts without ids are told apart
                    ids.add(raw.id, post.split)
            for post, verdict in zip(posts, pool.map(lambda post: _look(post, corpus, settings), posts), strict=True):
                _count(found, post)
                _count_image(found, post, verdict)
            if tick is not None:
                tick(rows)
    found.ids, found.texts = ids.duplicates(), texts.duplicates()
    found.places = _places(corpus, ids.repeated(EXAMPLES), texts.repeated(EXAMPLES))
    return found


def _chunks(corpus: Corpus) -> Iterator[list[RawPost | Rejected]]:
    rows = iter(corpus)
    while chunk := list(itertools.islice(rows, _CHUNK)):
        yield chunk


def _look(post: Post, corpus: Corpus, settings: ImageSettings) -> tuple[int, int] | ImageError | None:
    """The size of the post's image, what is wrong with it, or None where there is none."""
    if post.image is None and post.image_path is None:
        return None
    try:
        data = post.image if post.image is not None else fetch_image(corpus.image_root, post.image_path or "", settings)
        # An image that decodes small decodes large: every byte is read either way.
        decode(data, settings, at_least=TINY)
        return inspect(data, settings)
    except ImageError as error:
        return error


def _count(found: CorpusReport, post: Post) -> None:
    split = found.splits.setdefault(post.split, SplitCounts())
    found.posts += 1
    split.posts += 1
    split.tokens += len(post.tokens or ())
    if post.ner_tags is not None:
        entities = [tag[2:] for tag in post.ner_tags if tag.startswith("B-")]
        split.labeled += 1
        split.without_entity += not entities
        split.repaired += post.repaired
        split.entities.update(entities)
    if not any(character.isalnum() for character in clean_text(post.text)):
        found.empty.add("no letter or digit left", post.location)


def _count_image(found: CorpusReport, post: Post, verdict: tuple[int, int] | ImageError | None) -> None:
    if verdict is None:
        found.no_image += 1
    elif isinstance(verdict, ImageError):
        found.broken.add(verdict.reason, post.location)
    else:
        found.images += 1
        if min(verdict) < TINY:
            found.tiny.add(f"a side under {TINY} pixels", post.location)


def _places(corpus: Corpus, ids: set[int], texts: set[int]) -> dict[str, list[str]]:
    """Where the values with these fingerprints stand, a few places each."""
    places: dict[str, list[str]] = {}
    if not ids and not texts:
        return places
    for raw in corpus:
        post = raw if isinstance(raw, Rejected) else validate_post(raw)
        if isinstance(post, Rejected):
            continue
        for what, value, wanted in (("id", post.id, ids), ("text", post.text, texts)):
            if fingerprint(value) in wanted:
                shown = places.setdefault(f"{what} {value[:60]!r}", [])
                if len(shown) < EXAMPLES:
                    shown.append(post.location)
    return places
