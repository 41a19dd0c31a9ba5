"""A demo corpus in the public CoNLL layout: token files with image ids, a folder of images, and the truth beside."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

from amia.demo.drawing.scene import draw_photograph, jpeg, png
from amia.demo.names import Entity
from amia.demo.world import Post, draw_post, late_names
from amia.errors import SettingsError

_FILES = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}
_PNG_SHARE = 0.1


def write_corpus(
    folder: Path,
    *,
    posts: int = 1200,
    seed: int = 0,
    mismatched: float = 0.3,
    missing: float = 0.03,
    broken: float = 0.01,
) -> None:
    """Write a corpus of `posts` posts into `folder`, 70/15/15 % train, validation and test; the same bytes for a seed.

    Every template and every pair of entities was held out from the demo weights. The train split lacks a fourth of the
    names and some templates of the other two. `missing` and `broken` are the shares of posts without an image file and
    with one that cannot be decoded; of all others a share of `mismatched` has an image of something else. An image that
    matches may still leave out one of several entities.

    Files: `train.txt`, `valid.txt`, `test.txt` (a line `IMGID:<id>`, then `token<TAB>tag` in BIO2, then an empty line),
    `images/<id>.jpg` or `.png`, and `truth.ndjson` with one object a post: `id`, `split`, `matched` (null where there
    is no usable image) and `entities` as pairs of surface and type.

    Raises `SettingsError` for shares outside [0, 1] or fewer than 10 posts.
    """
    if posts < 10:
        raise SettingsError(f"a demo corpus needs at least 10 posts, not {posts}")
    if not all(0 <= share <= 1 for share in (mismatched, missing, broken, missing + broken)):
        raise SettingsError(f"shares must lie in [0, 1]: mismatched={mismatched}, missing={missing}, broken={broken}")
    rng = random.Random(f"corpus {seed}")
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    evaluated = round(posts * 0.15)
    sizes = {"train": posts - 2 * evaluated, "validation": evaluated, "test": evaluated}
    kinds_of_image = _deal(posts, {"missing": missing, "broken": broken}, mismatched, rng)
    truth: list[dict[str, object]] = []
    for split, size in sizes.items():
        lines = []
        for _ in range(size):
            number = len(truth) + 1
            name, image = str(100_000 + number), kinds_of_image[number - 1]
            post = _draw(split, rng)
            lines += [
                f"IMGID:{name}",
                *(f"{token}\t{tag}" for token, tag in zip(post.tokens, post.tags, strict=True)),
                "",
            ]
            _write_image(images, name, image, post, rng)
            matched = {"matched": True, "mismatched": False}.get(image)
            truth.append({"id": name, "split": split, "matched": matched, "entities": [list(e) for e in post.entities]})
        (folder / _FILES[split]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    records = (json.dumps(record, ensure_ascii=False) for record in truth)
    (folder / "truth.ndjson").write_text("\n".join(records) + "\n", encoding="utf-8")


def _draw(split: str, rng: random.Random) -> Post:
    if split != "train":
        return draw_post(rng, "held_out", "evaluation", held_out_pairs=True)
    late = late_names()
    return draw_post(rng, "held_out", held_out_pairs=True, allowed=lambda entity: entity.surface not in late)


def _deal(posts: int, unusable: dict[str, float], mismatched: float, rng: random.Random) -> list[str]:
    """What the image of each post is, in exact shares and random order."""
    kinds = [kind for kind, share in unusable.items() for _ in range(round(posts * share))]
    usable = posts - len(kinds)
    wrong = round(usable * mismatched)
    kinds += ["mismatched"] * wrong + ["matched"] * (usable - wrong)
    rng.shuffle(kinds)
    return kinds


def _write_image(images: Path, name: str, kind: str, post: Post, rng: random.Random) -> None:
    if kind == "missing":
        return
    shown = post.entities if kind != "mismatched" else _others(post.entities, rng)
    picture = draw_photograph(shown, rng)
    if kind == "broken":
        data = jpeg(picture)
        # Half a file as a broken download leaves it, or an error page saved under the name of the image.
        data = data[: len(data) // 2] if rng.random() < 0.5 else b"<html><body>404 Not Found</body></html>"
        (images / f"{name}.jpg").write_bytes(data)
    elif rng.random() < _PNG_SHARE:
        (images / f"{name}.png").write_bytes(png(picture))
    else:
        (images / f"{name}.jpg").write_bytes(jpeg(picture))


def _others(entities: Sequence[Entity], rng: random.Random) -> tuple[Entity, ...]:
    """The entities of another post, which shares no surface name with this one."""
    surfaces = {entity.surface for entity in entities}
    return draw_post(
        rng, "held_out", held_out_pairs=True, allowed=lambda entity: entity.surface not in surfaces
    ).entities
