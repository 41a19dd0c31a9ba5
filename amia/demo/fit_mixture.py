"""The demo's own frozen mixture: what a corpus too small to fit one on is scored with.

`python -m amia.demo.fit_mixture` draws a corpus of its own (another seed than `amia demo` uses), embeds it with the
demo's CLIP and writes `weights/mixture/`. A minute on one CPU core; run it again whenever CLIP or the world changes.
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


def measure(folder: Path) -> MatchingModel:
    """Fit the mixture on the training posts of a drawn corpus in `folder`."""
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
        frozen = measure(Path(scratch))
    frozen.save(MIXTURE_DIR)
    for name, fit in frozen.fits.items():
        print(f"{name}: {fit.mixture}\n{fit.diagnostics}\n{fit.warnings}")
