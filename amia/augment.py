"""The whole method on a list of posts, on one screen: what `ray_jobs/jobs/augment.py` does on a cluster.

>>> import amia
>>> posts = [amia.Post(id="1", text="Blue skies over Kyoto", image=open("kyoto.jpg", "rb").read())]
>>> amia.augment_posts(posts, "demo")[0].theta  # doctest: +SKIP
0.93
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amia.errors import ImageError, MixtureError, SettingsError
from amia.images import ImageSettings, decode, encode_jpeg, resize_to_square
from amia.matching.bank import Bank, Embeddings, image_key, text_key
from amia.matching.clip import ClipEncoder
from amia.matching.gmm_fit import fit_mixture
from amia.matching.model import MatchingModel
from amia.matching.settings import ClipSettings
from amia.matching.triplet import losses
from amia.mixing.arms import CONTROLS, check_arm, mixing_ratio, needs_synthesis
from amia.mixing.mixup import mix_images
from amia.posts import Post
from amia.settings import MethodSettings, load_method
from amia.synthesis.generator import GeneratedImage, Generator
from amia.synthesis.seeds import post_seed
from amia.synthesis.settings import GeneratorSettings
from amia.text import clean_text, make_prompt

__all__ = ["AugmentedPost", "augment_posts", "fit_posts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentedPost:
    """One post with its augmented image, and everything that led to it."""

    post: Post
    image: bytes | None
    """JPEG; None when the post has neither image, or the arm shows none."""
    ratio: float | None
    """What eq. 9 used: share of the original, in [0, 1]; None without an image."""
    theta: float
    """Posterior that image and text match, in [0, 1]; 0 without a usable image."""
    loss: float | None
    """Eq. 7; None without a usable image."""
    cosine: float | None
    synthesized: bytes | None
    prompt: str | None
    seed: int | None
    image_status: str
    """`ok`, `no_image` or `bad_image(reason)`."""
    synthesis_status: str
    """`ok`, `no_prompt`, `failed(reason)`, or `not_asked` where the arm looks at no synthesized image."""


@dataclass(frozen=True, slots=True)
class Score:
    """How well one post's image matches its text."""

    theta: float
    loss: float | None
    cosine: float | None


NO_SCORE = Score(0.0, None, None)
"""Of a post without a usable image."""


def augment_posts(
    posts: Sequence[Post],
    settings: MethodSettings | str = "default",
    *,
    arm: str = "adaptive",
    mixture: MatchingModel | str | os.PathLike[str] | None = None,
) -> list[AugmentedPost]:
    """Augment posts, in order. Models are loaded once a process.

    `mixture`: a frozen one, or the folder of one (a run's `mixture/`); without it the preset's own is taken where it
    ships one (`demo`), else one is fitted on these very posts. Raises SettingsError, ModelError, and MixtureError when
    there is no mixture and the posts are too few or too alike to fit one.
    """
    check_arm(arm)
    if arm in CONTROLS:
        raise SettingsError(f"arm {arm!r} is a control, made of a whole corpus: `amia augment --arm {arm}` makes it")
    settings = load_method(settings) if isinstance(settings, str) else settings
    images, statuses = _decoded(posts, settings.image)
    scores, span = _scores(posts, images, settings, mixture)  # 3.1 and 3.2: CLIP, triplet loss, mixture
    drawn = _drawn(posts, settings) if needs_synthesis(arm) else {}  # 3.3: V = SD(T)
    done: list[AugmentedPost] = []
    for row, (post, image, status) in enumerate(zip(posts, images, statuses, strict=True)):
        score, picture = scores.get(row, NO_SCORE), drawn.get(row)
        synthesized = picture.file if picture else None
        share = mixing_ratio(
            arm,
            theta=score.theta,
            cosine=score.cosine,
            cosine_range=span,
            has_image=image is not None,
            has_synthesis=synthesized is not None,
        )
        original = None if image is None else resize_to_square(image, settings.image)
        done.append(
            AugmentedPost(
                post=post,
                image=None if share is None else mix_images(original, synthesized, share, settings.image),  # 3.4
                ratio=share,
                theta=score.theta,
                loss=score.loss,
                cosine=score.cosine,
                synthesized=synthesized,
                prompt=make_prompt(post.text) if picture else None,
                seed=picture.seed if picture else None,
                image_status=status,
                synthesis_status=_synthesis_status(arm, picture),
            )
        )
    return done


def fit_posts(posts: Sequence[Post], settings: MethodSettings | str = "default") -> MatchingModel:
    """The mixture and bank of these posts, to be saved and given to `augment_posts` or `amia augment --mixture`.

    Raises MixtureError when no post has a usable image, or when the fit is not to be trusted.
    """
    settings = load_method(settings) if isinstance(settings, str) else settings
    images, _ = _decoded(posts, settings.image)
    seen = [row for row, image in enumerate(images) if image is not None]
    if not seen:
        raise MixtureError("no post with a usable image to fit a mixture on")
    return _fitted(_embedded(posts, images, seen, settings), settings)


def _decoded(posts: Sequence[Post], settings: ImageSettings) -> tuple[list[Image.Image | None], list[str]]:
    images: list[Image.Image | None] = []
    statuses: list[str] = []
    for post in posts:
        image, status = None, "no_image"
        if post.image is not None:
            try:
                image, status = decode(post.image, settings), "ok"
            except ImageError as error:
                status = f"bad_image({error.reason})"
        images.append(image)
        statuses.append(status)
    return images, statuses


def _scores(
    posts: Sequence[Post],
    images: Sequence[Image.Image | None],
    settings: MethodSettings,
    mixture: MatchingModel | str | os.PathLike[str] | None,
) -> tuple[dict[int, Score], tuple[float, float] | None]:
    """The score of every post that has an image, by its place, and the range of cosines that the mixture knows."""
    seen = [row for row, image in enumerate(images) if image is not None]
    if not seen:
        return {}, None
    embedded = _embedded(posts, images, seen, settings)
    frozen = _frozen(embedded, settings, mixture)
    measured = losses(embedded, frozen.bank, settings.triplet)  # eqs. 1-7
    scores = {
        row: Score(
            theta=float(frozen.theta(measured.total[[place]], posts[row].split)[0]),  # eq. 8
            loss=float(measured.total[place]),
            cosine=float(measured.cosine[place]),
        )
        for place, row in enumerate(seen)
    }
    return scores, frozen.cosine_range


def _embedded(
    posts: Sequence[Post], images: Sequence[Image.Image | None], seen: Sequence[int], settings: MethodSettings
) -> Embeddings:
    """The posts that have an image, as float16 vectors: what a run stores, so that both score alike."""
    encoder = _encoder(settings.clip)
    texts = [clean_text(posts[row].text) for row in seen]
    return Embeddings(
        ids=[posts[row].id for row in seen],
        texts=encoder.encode_texts(texts).astype(np.float16),  # [n, d]
        images=encoder.encode_images([image for image in images if image is not None]).astype(np.float16),  # [n, d]
        text_keys=np.array([text_key(text) for text in texts], "S16"),
        image_keys=np.array([image_key(posts[row].image or b"") for row in seen], "S16"),
    )


def _frozen(
    embedded: Embeddings, settings: MethodSettings, mixture: MatchingModel | str | os.PathLike[str] | None
) -> MatchingModel:
    if mixture is None and settings.shipped_mixture is None:
        return _fitted(embedded, settings)
    given = mixture if mixture is not None else settings.shipped_mixture
    frozen = given if isinstance(given, MatchingModel) else MatchingModel.load(Path(given or ""))
    frozen.check(_encoder(settings.clip).identity(), settings.triplet)
    return frozen


def _fitted(embedded: Embeddings, settings: MethodSettings) -> MatchingModel:
    bank = Bank.of([embedded], settings.triplet.bank)
    measured = losses(embedded, bank, settings.triplet)
    fit = fit_mixture(measured.total, settings.mixture)
    if fit.refusal:
        raise MixtureError(f"the mixture on these posts is not to be trusted: {fit.refusal}; give mixture=...")
    span = (float(measured.cosine.min()), float(measured.cosine.max()))
    return MatchingModel({"all": fit}, bank, _encoder(settings.clip).identity(), settings.triplet, span)


def _drawn(posts: Sequence[Post], settings: MethodSettings) -> dict[int, GeneratedImage]:
    prompts = {row: prompt for row, post in enumerate(posts) if (prompt := make_prompt(post.text)) is not None}
    seeds = [post_seed(settings.seed, posts[row].id) for row in prompts]
    generator = _generator(settings.generator, settings.image.size)
    drawn = generator.generate(list(prompts.values()), seeds, lambda _, pixels: _jpeg(pixels, settings.image))
    return dict(zip(prompts, drawn, strict=True))


def _jpeg(pixels: NDArray[np.uint8], images: ImageSettings) -> bytes:
    return encode_jpeg(pixels, images.quality, source="synthesized")


def _synthesis_status(arm: str, picture: GeneratedImage | None) -> str:
    if not needs_synthesis(arm):
        return "not_asked"
    if picture is None:
        return "no_prompt"
    return "ok" if picture.failure is None else f"failed({picture.failure})"


@lru_cache(maxsize=2)
def _encoder(settings: ClipSettings) -> ClipEncoder:
    return ClipEncoder.load(settings)


@lru_cache(maxsize=2)
def _generator(settings: GeneratorSettings, size: int) -> Generator:
    return Generator.load(settings, size)
