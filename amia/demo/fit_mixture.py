"""Fit the demo's matching model, which scores corpora that are too small for a fit.

`python -m amia.demo.fit_mixture` generates a corpus with another seed than `amia demo`, embeds it with the demo's CLIP
and writes `weights/mixture/`. It takes a minute on one CPU core. Run it again whenever the CLIP or the demo world
changes.
"""

import tempfile
from pathlib import Path

from amia.augment import fit_posts
from amia.demo import MIXTURE_DIR, write_corpus
from amia.images import fetch_image
from amia.matching.model import MatchingModel
from amia.posts import Post, Rejected, validate_post
from amia.readers import open_corpus
from amia.settings import load_method

POSTS = 1200
SEED = 20_000
BANK = 512


def fit_demo_model(folder: Path) -> MatchingModel:
    """Write a demo corpus into `folder` and fit the matching model on its training posts."""
    settings = load_method("demo", {"triplet.bank": BANK})
    write_corpus(folder, posts=POSTS, seed=SEED, missing=0.0, broken=0.0)
    corpus = open_corpus(folder)
    posts: list[Post] = []
    for raw in corpus:
        post = raw if isinstance(raw, Rejected) else validate_post(raw)
        if isinstance(post, Post) and post.split == "train" and post.image_path:
            image = fetch_image(corpus.image_root, post.image_path, settings.image)
            posts.append(Post(id=post.id, text=post.text, split=post.split, image=image))
    return fit_posts(posts, settings)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        model = fit_demo_model(Path(scratch))
    model.save(MIXTURE_DIR)
    for name, fit in model.fits.items():
        print(f"{name}: {fit.mixture}\n{fit.diagnostics}\n{fit.warnings}")
