"""The whole method as one loop in one process: the same classes as a job's, without Ray, stages or shards of work.

    python -m tests.benchmarks.bare BEGUN CORPUS OUT THREADS [RUN]

RUN: where the corpus was augmented before. Its bank, which may be a part of the posts, holds those that this one shall.
Writes one Parquet file with what `augmented/adaptive/` holds of each post. Says one JSON object: seconds since the
command until the models were loaded, and until everything was written.
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

AT_ONCE = 64
"""Posts that stand in memory as pixels."""


def main() -> None:
    begun, corpus, out, threads = float(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    held: Sequence[str] = []
    for run in sys.argv[5:]:
        held = Bank.from_bytes(Store(run).read(f"{MIXTURE}/{BANK_FILE}")).ids
    torch.set_num_threads(threads)
    settings = load_settings("demo")
    encoder = ClipEncoder.load(settings.clip)
    generator = Generator.load(settings.generator, settings.image.size)
    loaded = time.time() - begun
    pq.write_table(augmented(corpus, held, settings, encoder, generator), out)
    print(json.dumps({"loaded": loaded, "done": time.time() - begun}))


def augmented(
    source: str, held: Sequence[str], settings: Settings, encoder: ClipEncoder, generator: Generator
) -> pa.Table:
    """`held`: ids of the bank's posts, in its order; the first training posts where there are none."""
    corpus = open_corpus(source)
    posts = [post for raw in corpus if not isinstance(raw, Rejected) and isinstance(post := validate_post(raw), Post)]
    files = [fetch_image(corpus.image_root, post.image_path or "", settings.image) for post in posts]
    embedded = embed(posts, files, settings, encoder)
    train = [row for row, post in enumerate(posts) if post.split == "train"]
    places = {post.id: row for row, post in enumerate(posts)}
    bank = Bank.of([embedded.select([places[each] for each in held] or train)], settings.triplet.bank)
    measured = losses(embedded, bank, settings.triplet)
    mixture = fit_mixture(measured.total[train].astype(np.float32), settings.mixture).mixture
    thetas = mixture.theta(measured.total.astype(np.float32))
    pictures: list[bytes] = []
    for start in range(0, len(posts), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        prompts = [make_prompt(post.text) or "" for post in posts[some]]
        drawn = generator.generate(prompts, [post_seed(settings.seed, post.id) for post in posts[some]])
        for picture, file, theta in zip(drawn, files[some], thetas[some], strict=True):
            made = picture.pixels
            synthesized = None if made is None else encode_jpeg(made, settings.image.quality, source="synthesized")
            share = mixing_ratio(
                "adaptive", theta=theta, cosine=None, cosine_range=None, has_image=True, has_synthesis=True
            )
            original = resize_to_square(decode(file, settings.image, at_least=2 * settings.image.size), settings.image)
            pictures.append(mix_images(original, synthesized, share or 0.0, settings.image))
    ids, texts = [post.id for post in posts], [post.text for post in posts]
    return pa.table({"id": ids, "text": texts, "theta": thetas.astype(np.float32), "image": pictures})


def embed(posts: list[Post], files: list[bytes], settings: Settings, encoder: ClipEncoder) -> Embeddings:
    texts = [clean_text(post.text) for post in posts]
    images = [
        encoder.encode_images([decode(file, settings.image) for file in files[start : start + AT_ONCE]])
        for start in range(0, len(files), AT_ONCE)
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
