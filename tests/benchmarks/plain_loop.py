"""The whole method as one loop in one process: the same classes as a job, without Ray, stages or shards.

    python -m tests.benchmarks.plain_loop STARTED CORPUS OUT THREADS [RUN]

RUN is a run on the same corpus; its bank, which may hold a part of the posts, determines the posts of this bank. Writes
one Parquet file with the columns id, text, theta and image of `augmented/adaptive/`. Prints one JSON object: seconds
since STARTED until the models were loaded, and until everything was written.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from amia.images import decode, encode_jpeg, fetch_image, resize_to_square
from amia.matching.bank import Bank, Embeddings, image_key, text_key
from amia.matching.clip import ClipEncoder
from amia.matching.gmm_fit import fit_mixture
from amia.matching.model import BANK_FILE
from amia.matching.triplet import losses
from amia.mixing.arms import mixing_ratio
from amia.mixing.mixup import mix_images
from amia.posts import Post, Rejected, validate_post
from amia.readers import open_corpus
from amia.synthesis.generator import Generator
from amia.synthesis.seeds import post_seed
from amia.text import clean_text, make_prompt
from ray_jobs.settings.job import Settings, load_settings
from ray_jobs.storage.layout import MIXTURE
from ray_jobs.storage.store import Store

BATCH = 64
"""Posts whose pixels are in memory at a time."""


def main() -> None:
    started, corpus, out, threads = float(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    bank_ids: Sequence[str] = []
    for run in sys.argv[5:]:
        bank_ids = Bank.from_bytes(Store(run).read(f"{MIXTURE}/{BANK_FILE}")).ids
    torch.set_num_threads(threads)
    settings = load_settings("demo")
    encoder = ClipEncoder.load(settings.clip)
    generator = Generator.load(settings.generator, settings.image.size)
    loaded = time.time() - started
    pq.write_table(augment(corpus, bank_ids, settings, encoder, generator), out)
    print(json.dumps({"loaded": loaded, "done": time.time() - started}))


def augment(
    source: str, bank_ids: Sequence[str], settings: Settings, encoder: ClipEncoder, generator: Generator
) -> pa.Table:
    """Augment a corpus. `bank_ids`: ids of the bank's posts in order; if empty, the first training posts."""
    corpus = open_corpus(source)
    posts = [post for raw in corpus if not isinstance(raw, Rejected) and isinstance(post := validate_post(raw), Post)]
    files = [fetch_image(corpus.image_root, post.image_path or "", settings.image) for post in posts]
    embeddings = embed(posts, files, settings, encoder)
    train = [row for row, post in enumerate(posts) if post.split == "train"]
    row_index = {post.id: row for row, post in enumerate(posts)}
    bank_rows = [row_index[post_id] for post_id in bank_ids] or train
    bank = Bank.of([embeddings.select(bank_rows)], settings.triplet.bank)
    scores = losses(embeddings, bank, settings.triplet)
    mixture = fit_mixture(scores.total[train].astype(np.float32), settings.mixture).mixture
    thetas = mixture.theta(scores.total.astype(np.float32))
    images: list[bytes] = []
    for start in range(0, len(posts), BATCH):
        batch = slice(start, start + BATCH)
        prompts = [make_prompt(post.text) or "" for post in posts[batch]]
        generated = generator.generate(prompts, [post_seed(settings.seed, post.id) for post in posts[batch]])
        for image, file, theta in zip(generated, files[batch], thetas[batch], strict=True):
            pixels = image.pixels
            synthesized = None if pixels is None else encode_jpeg(pixels, settings.image.quality, source="synthesized")
            ratio = mixing_ratio(
                "adaptive", theta=theta, cosine=None, cosine_range=None, has_image=True, has_synthesis=True
            )
            original = resize_to_square(decode(file, settings.image, at_least=2 * settings.image.size), settings.image)
            images.append(mix_images(original, synthesized, ratio or 0.0, settings.image))
    ids, texts = [post.id for post in posts], [post.text for post in posts]
    return pa.table({"id": ids, "text": texts, "theta": thetas.astype(np.float32), "image": images})


def embed(posts: list[Post], files: list[bytes], settings: Settings, encoder: ClipEncoder) -> Embeddings:
    texts = [clean_text(post.text) for post in posts]
    images = [
        encoder.encode_images([decode(file, settings.image) for file in files[start : start + BATCH]])
        for start in range(0, len(files), BATCH)
    ]
    return Embeddings(
        ids=[post.id for post in posts],
        texts=encoder.encode_texts(texts).astype(np.float16),
        images=np.concatenate(images).astype(np.float16),
        text_keys=np.array([text_key(text) for text in texts], "S16"),
        image_keys=np.array([image_key(file) for file in files], "S16"),
    )


if __name__ == "__main__":
    main()
