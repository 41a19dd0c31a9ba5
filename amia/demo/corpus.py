"""Demo corpus in the public CoNLL layout: token files with image ids, a folder of images, and the ground truth."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

from amia.demo.drawing.scene import draw_photograph, to_jpeg, to_png
from amia.demo.names import NamedEntity
from amia.demo.world import DemoPost, draw_post, late_names
from amia.errors import SettingsError

__all__ = ["write_corpus"]

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
    """Write a corpus of `posts` posts into `folder`: 70 % train, 15 % validation and 15 % test.

    Equal seeds give equal bytes. Every template and every pair of entities was held out from the demo weights. The
    train split lacks a quarter of the names and some templates of the other two splits. `missing` and `broken` are the
    shares of posts without an image file and with one that cannot be decoded. Of all other posts a share of
    `mismatched` has an image of other entities. A matching image may still omit one of several entities.

    Files: `train.txt`, `valid.txt`, `test.txt` (a line `IMGID:<id>`, then `token<TAB>tag` in BIO2, then an empty line),
    `images/<id>.jpg` or `.png`, and `truth.ndjson` with one object per post: `id`, `split`, `matched` (null if there is
    no usable image) and `entities` as pairs of surface and type.

    Raises SettingsError for shares outside [0, 1] or fewer than 10 posts.
    """
    if posts < 10:
        raise SettingsError(f"a demo corpus needs at least 10 posts, not {posts}")
    if not all(0 <= share <= 1 for share in (mismatched, missing, broken, missing + broken)):
        raise SettingsError(f"shares must be in [0, 1]: mismatched={mismatched}, missing={missing}, broken={broken}")
    rng = random.Random(f"corpus {seed}")
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    test_size = round(posts * 0.15)
    sizes = {"train": posts - 2 * test_size, "validation": test_size, "test": test_size}
    image_statuses = _shuffle_image_statuses(posts, {"missing": missing, "broken": broken}, mismatched, rng)
    truth: list[dict[str, object]] = []
    for split, size in sizes.items():
        lines = []
        for _ in range(size):
            number = len(truth) + 1
            post_id, image_status = str(100_000 + number), image_statuses[number - 1]
            post = _generate_post(split, rng)
            lines += [
                f"IMGID:{post_id}",
                *(f"{token}\t{tag}" for token, tag in zip(post.tokens, post.tags, strict=True)),
                "",
            ]
            _write_image(images, post_id, image_status, post, rng)
            matched = {"matched": True, "mismatched": False}.get(image_status)
            entities = [list(entity) for entity in post.entities]
            truth.append({"id": post_id, "split": split, "matched": matched, "entities": entities})
        (folder / _FILES[split]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    records = (json.dumps(record, ensure_ascii=False) for record in truth)
    (folder / "truth.ndjson").write_text("\n".join(records) + "\n", encoding="utf-8")


def _generate_post(split: str, rng: random.Random) -> DemoPost:
    if split != "train":
        return draw_post(rng, "held_out", "evaluation", held_out_pairs=True)
    late = late_names()
    return draw_post(rng, "held_out", held_out_pairs=True, allowed=lambda entity: entity.surface not in late)


def _shuffle_image_statuses(posts: int, unusable: dict[str, float], mismatched: float, rng: random.Random) -> list[str]:
    """Return the status of the image of each post, in exact shares and random order."""
    statuses = [status for status, share in unusable.items() for _ in range(round(posts * share))]
    usable = posts - len(statuses)
    num_mismatched = round(usable * mismatched)
    statuses += ["mismatched"] * num_mismatched + ["matched"] * (usable - num_mismatched)
    rng.shuffle(statuses)
    return statuses


def _write_image(images: Path, post_id: str, status: str, post: DemoPost, rng: random.Random) -> None:
    if status == "missing":
        return
    entities = post.entities if status != "mismatched" else _other_entities(post.entities, rng)
    image = draw_photograph(entities, rng)
    if status == "broken":
        data = to_jpeg(image)
        # Half a file, as after an interrupted download, or an error page saved under the name of the image.
        data = data[: len(data) // 2] if rng.random() < 0.5 else b"<html><body>404 Not Found</body></html>"
        (images / f"{post_id}.jpg").write_bytes(data)
    elif rng.random() < _PNG_SHARE:
        (images / f"{post_id}.png").write_bytes(to_png(image))
    else:
        (images / f"{post_id}.jpg").write_bytes(to_jpeg(image))


def _other_entities(entities: Sequence[NamedEntity], rng: random.Random) -> tuple[NamedEntity, ...]:
    """Return the entities of a random post that shares no surface name with `entities`."""
    surfaces = {entity.surface for entity in entities}
    return draw_post(
        rng, "held_out", held_out_pairs=True, allowed=lambda entity: entity.surface not in surfaces
    ).entities
