"""Demo corpus in the public CoNLL layout: token files with image ids, a folder of images, and the ground truth."""

import json
import random
from pathlib import Path

from PIL import Image

from amia.demo.drafts import Draft, NameSource
from amia.demo.drawing.scene import Box, to_jpeg, to_png
from amia.demo.names import NamedEntity
from amia.demo.shares import REALISTIC, CorpusShares
from amia.demo.templates import Section
from amia.demo.world import Mention
from amia.errors import SettingsError

__all__ = ["write_corpus"]

_FILES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}
_PNG_SHARE = 0.1


def write_corpus(
    folder: Path,
    *,
    posts: int = 2400,
    seed: int = 0,
    mismatched: float = 0.4,
    known: float = 0.8,
    missing: float = 0.03,
    broken: float = 0.01,
    splits: tuple[float, float] = (1 / 2, 1 / 12),
    shares: CorpusShares = REALISTIC,
) -> None:
    """Write a corpus of `posts` posts into `folder`. `splits`: shares of train and validation; the rest is test.

    Equal arguments give equal bytes. `missing` and `broken` are the shares of posts without an image file and with one
    that cannot be decoded. Of all other posts of each split a share of `mismatched` has an image of other entities. A
    matching image shows at least one of the post's entities. `known` is the share of rare names that CLIP and generator
    have learned.

    Two corpora that differ only in `known` have the same posts but for the names that are exchanged for their twins:
    the same sentences, labels and images. Two that differ only in `mismatched` have the same texts, and images that are
    the post's own or another's; whichever is mismatched at a share is so at every greater one. Posts about entities
    that people rarely photograph are mismatched more often.

    Files: `train.txt`, `valid.txt`, `test.txt` (a line `IMGID:<id>`, then `token<TAB>tag` in BIO2, then an empty line),
    `images/<id>.jpg` or `.png`, and `truth.ndjson` with one object per post: `id`, `split`, `matched` (null if there is
    no usable image), `neutral` (whether the sentence reveals no type) and `entities`. An entity has `surface`, `type`,
    `frequency` (famous, ambiguous, rare), `known` (null unless rare) and `box` (left, top, right, bottom in pixels of
    the post's image; null if that does not show it).

    Raises SettingsError for shares outside [0, 1] or fewer than 10 posts.
    """
    if posts < 10:
        raise SettingsError(f"a demo corpus needs at least 10 posts, not {posts}")
    if not all(
        0 <= share <= 1 for share in (mismatched, known, missing, broken, missing + broken, *splits, sum(splits))
    ):
        raise SettingsError(
            f"shares must be in [0, 1]: mismatched={mismatched}, known={known}, missing={missing}, broken={broken}, "
            f"splits={splits}"
        )
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    sizes = {"train": round(posts * splits[0]), "validation": round(posts * splits[1])}
    sizes["test"] = posts - sum(sizes.values())
    names = NameSource(random.Random(f"names {seed}"), shares)
    unusable = _unusable_images(posts, {"missing": missing, "broken": broken}, random.Random(f"unusable {seed}"))
    truth: list[dict[str, object]] = []
    for split, size in sizes.items():
        numbers = range(len(truth) + 1, len(truth) + 1 + size)
        section: Section = "train" if split == "train" else "test"
        drafts = [Draft.draw(f"{seed} {number}", section, shares, names) for number in numbers]
        usable = [
            (-drafts[row].visibility.latency, row) for row, number in enumerate(numbers) if number not in unusable
        ]
        others = {row for _, row in sorted(usable)[: round(len(usable) * mismatched)]}
        lines: list[str] = []
        for row, (number, draft) in enumerate(zip(numbers, drafts, strict=True)):
            post_id, matched = str(100_000 + number), row not in others
            post = draft.write(known, shares.posts.words)
            pairs = zip(post.tokens, post.tags, strict=True)
            lines += [f"IMGID:{post_id}", *(f"{token}\t{tag}" for token, tag in pairs), ""]
            status = unusable.get(number)
            boxes: dict[NamedEntity, Box] = {}
            drawing = draft.draw_image() if matched else draft.draw_other_image(shares)
            if matched and status is None:
                boxes = dict(zip(draft.visibility.entities, drawing.boxes, strict=True))
            if status != "missing":
                _write_image(images, post_id, drawing.image, broken=status == "broken", rng=draft.rng("file"))
            truth.append(
                {
                    "id": post_id,
                    "split": split,
                    "matched": matched if status is None else None,
                    "neutral": post.template.is_neutral,
                    "entities": [_describe(mention, known, boxes) for mention in draft.mentions],
                }
            )
        (folder / _FILES[split]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    records = (json.dumps(record, ensure_ascii=False) for record in truth)
    (folder / "truth.ndjson").write_text("\n".join(records) + "\n", encoding="utf-8")


def _describe(mention: Mention, known: float, boxes: dict[NamedEntity, Box]) -> dict[str, object]:
    """Return the truth about one mention. `boxes`: those of the entities that the post's own image shows."""
    entity = mention.choose(known)
    return {
        "surface": entity.surface,
        "type": entity.kind,
        "frequency": mention.frequency,
        "known": entity == mention.choose(1.0) if mention.frequency == "rare" else None,
        "box": boxes.get(mention.choose(1.0)),
    }


def _unusable_images(posts: int, shares: dict[str, float], rng: random.Random) -> dict[int, str]:
    """Return number -> status of posts without a usable image, in exact shares. Numbers begin with 1."""
    statuses = [status for status, share in shares.items() for _ in range(round(posts * share))]
    return dict(zip(rng.sample(range(1, posts + 1), len(statuses)), statuses, strict=True))


def _write_image(images: Path, post_id: str, image: Image.Image, *, broken: bool, rng: random.Random) -> None:
    if broken:
        data = to_jpeg(image)
        # Half a file, as after an interrupted download, or an error page saved under the name of the image.
        data = data[: len(data) // 2] if rng.random() < 0.5 else b"<html><body>404 Not Found</body></html>"
        (images / f"{post_id}.jpg").write_bytes(data)
    elif rng.random() < _PNG_SHARE:
        (images / f"{post_id}.png").write_bytes(to_png(image))
    else:
        (images / f"{post_id}.jpg").write_bytes(to_jpeg(image))
