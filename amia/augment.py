"""The whole method on a list of posts. `ray_jobs/jobs/augment.py` does the same on a cluster.

>>> import amia
>>> posts = [amia.Post(id="1", text="Blue skies over Kyoto", image=open("kyoto.jpg", "rb").read())]
>>> amia.augment_posts(posts, "demo")[0].theta  # doctest: +SKIP
0.93
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amia.errors import ImageError, MixtureError, SettingsError
from amia.hub import resolve_path
from amia.images import ImageSettings, decode, decode_generated, encode_jpeg, resize_to_square
from amia.matching.bank import Bank, Embeddings, image_key, text_key
from amia.matching.clip import ClipEncoder
from amia.matching.gmm_fit import fit_mixture
from amia.matching.model import MatchingModel
from amia.matching.settings import ClipSettings
from amia.matching.triplet import losses
from amia.mixing.arms import CONTROLS, check_arm, mixing_ratio, needs_synthesis, needs_theta_synthesized
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
    """One post with its augmented image and all intermediate results."""

    post: Post
    image: bytes | None
    """JPEG; None if the post has neither image, or if the arm shows none."""
    ratio: float | None
    """Share of the original image in eq. 9, in [0, 1]; None without an image."""
    theta: float
    """Posterior probability that image and text match, in [0, 1]; 0 without a usable image."""
    theta_synthesized: float | None
    """The same of the synthesized image, theta_V. None without one, and in arms that do not use it."""
    loss: float | None
    """Triplet loss, eq. 7; None without a usable image."""
    cosine: float | None
    """Cosine of the CLIP embeddings of image and text, in [-1, 1]; None without a usable image."""
    synthesized: bytes | None
    """Synthesized image as JPEG; None if the arm uses none or synthesis failed."""
    prompt: str | None
    """Text that the generator received; None if nothing was synthesized."""
    seed: int | None
    """Seed of the synthesized image; None if nothing was synthesized."""
    image_status: str
    """`ok`, `no_image` or `bad_image(reason)`."""
    synthesis_status: str
    """`ok`, `no_prompt`, `failed(reason)`, or `not_asked` if the arm uses no synthesized image."""


@dataclass(frozen=True, slots=True)
class MatchScore:
    """How well one image of a post, its own or the synthesized one, matches the text."""

    theta: float
    loss: float | None
    cosine: float | None


NO_SCORE = MatchScore(0.0, None, None)
"""Score of a post without a usable image."""


def augment_posts(
    posts: Sequence[Post],
    settings: MethodSettings | str = "default",
    *,
    arm: str = "adaptive",
    mixture: MatchingModel | str | os.PathLike[str] | None = None,
) -> list[AugmentedPost]:
    """Augment posts, in order. Models are loaded once per process.

    Args:
        posts: The posts.
        settings: Settings of the method, or the name of a preset.
        arm: What determines the mixing ratio, see `amia.mixing.arms`.
        mixture: A frozen mixture or its folder (`mixture/` of a run). Without it, the mixture that ships with the
            preset is used if there is one (`demo`), else one is fitted on these posts.

    Raises:
        SettingsError: If a setting or the arm is invalid.
        ModelError: If a model cannot be loaded.
        MixtureError: If no mixture is given and the posts are too few or too alike to fit one.
    """
    check_arm(arm)
    if arm in CONTROLS:
        raise SettingsError(f"arm {arm!r} is a control, which needs a whole corpus: use `amia augment --arm {arm}`")
    settings = load_method(settings) if isinstance(settings, str) else settings
    images, statuses = _decode_images(posts, settings.image)
    scores, model = _score(posts, images, settings, mixture)  # 3.1 and 3.2: CLIP, triplet loss, mixture
    generated = _synthesize(posts, settings) if needs_synthesis(arm) else {}  # 3.3: V = SD(T)
    synthesized_scores = _score_synthesized(posts, generated, settings, model) if needs_theta_synthesized(arm) else {}
    augmented: list[AugmentedPost] = []
    for index, (post, image_status) in enumerate(zip(posts, statuses, strict=True)):
        image, result = images.get(index), generated.get(index)
        score, synthesized_score = scores.get(index, NO_SCORE), synthesized_scores.get(index)
        theta_synthesized = synthesized_score.theta if synthesized_score else None
        synthesized = result.file if result else None
        ratio = mixing_ratio(
            arm,
            theta=score.theta,
            theta_synthesized=theta_synthesized,
            cosine=score.cosine,
            cosine_range=model.cosine_range if model else None,
            has_image=image is not None,
            has_synthesis=synthesized is not None,
        )
        original = None if image is None else resize_to_square(image, settings.image)
        augmented.append(
            AugmentedPost(
                post=post,
                image=None if ratio is None else mix_images(original, synthesized, ratio, settings.image),  # 3.4
                ratio=ratio,
                theta=score.theta,
                theta_synthesized=theta_synthesized,
                loss=score.loss,
                cosine=score.cosine,
                synthesized=synthesized,
                prompt=make_prompt(post.text) if result else None,
                seed=result.seed if result else None,
                image_status=image_status,
                synthesis_status=_synthesis_status(arm, result),
            )
        )
    return augmented


def fit_posts(posts: Sequence[Post], settings: MethodSettings | str = "default") -> MatchingModel:
    """Fit mixture and bank on posts, to be saved and passed to `augment_posts` or `amia augment --mixture`.

    Raises MixtureError if no post has a usable image, or if the checks reject the fit.
    """
    settings = load_method(settings) if isinstance(settings, str) else settings
    images, _ = _decode_images(posts, settings.image)
    if not images:
        raise MixtureError("no post has a usable image to fit a mixture on")
    return _fit(_embed(posts, images, _files(posts), settings), settings)


def _decode_images(posts: Sequence[Post], settings: ImageSettings) -> tuple[dict[int, Image.Image], list[str]]:
    """Return the usable images by the index of their post, and the status of every post."""
    images: dict[int, Image.Image] = {}
    statuses: list[str] = []
    for index, post in enumerate(posts):
        status = "no_image"
        if post.image is not None:
            try:
                images[index], status = decode(post.image, settings), "ok"
            except ImageError as error:
                status = f"bad_image({error.reason})"
        statuses.append(status)
    return images, statuses


def _score(
    posts: Sequence[Post],
    images: Mapping[int, Image.Image],
    settings: MethodSettings,
    mixture: MatchingModel | str | os.PathLike[str] | None,
) -> tuple[dict[int, MatchScore], MatchingModel | None]:
    """Return the score of every post that has an image, by its index, and the model that it comes from."""
    if not images:
        return {}, None
    embeddings = _embed(posts, images, _files(posts), settings)
    model = _matching_model(embeddings, settings, mixture)
    return _match(posts, list(images), embeddings, model, settings), model


def _score_synthesized(
    posts: Sequence[Post],
    generated: Mapping[int, GeneratedImage],
    settings: MethodSettings,
    model: MatchingModel | None,
) -> dict[int, MatchScore]:
    """Return the score of every synthesized image by the index of its post. Without a model, none is scored."""
    if model is None:
        return {}
    files = {
        index: result.file
        for index, result in generated.items()
        if result.file is not None and model.has_mixture(posts[index].split)
    }
    if not files:
        return {}
    images = {index: Image.fromarray(decode_generated(file, settings.image.size)) for index, file in files.items()}
    return _match(posts, list(images), _embed(posts, images, files, settings), model, settings)


def _match(
    posts: Sequence[Post],
    indices: Sequence[int],
    embeddings: Embeddings,
    model: MatchingModel,
    settings: MethodSettings,
) -> dict[int, MatchScore]:
    """Return the score of the posts at `indices`, whose embeddings these are, by their index."""
    loss = losses(embeddings, model.bank, settings.triplet)  # eqs. 1-7
    return {
        index: MatchScore(
            theta=float(model.theta(loss.total[[row]], posts[index].split)[0]),  # eq. 8
            loss=float(loss.total[row]),
            cosine=float(loss.cosine[row]),
        )
        for row, index in enumerate(indices)
    }


def _embed(
    posts: Sequence[Post], images: Mapping[int, Image.Image], files: Mapping[int, bytes], settings: MethodSettings
) -> Embeddings:
    """Return float16 embeddings of the posts that have one of the `images`, by index, with these `files`.

    This is the precision that a run stores, so both score alike.
    """
    encoder = _encoder(settings.clip)
    texts = [clean_text(posts[index].text) for index in images]
    return Embeddings(
        ids=[posts[index].id for index in images],
        texts=encoder.encode_texts(texts).astype(np.float16),  # [n, d]
        images=encoder.encode_images(list(images.values())).astype(np.float16),  # [n, d]
        text_keys=np.array([text_key(text) for text in texts], "S16"),
        image_keys=np.array([image_key(files[index]) for index in images], "S16"),
    )


def _files(posts: Sequence[Post]) -> dict[int, bytes]:
    return {index: post.image for index, post in enumerate(posts) if post.image is not None}


def _matching_model(
    embeddings: Embeddings, settings: MethodSettings, mixture: MatchingModel | str | os.PathLike[str] | None
) -> MatchingModel:
    source = mixture if mixture is not None else settings.shipped_mixture
    if source is None:
        return _fit(embeddings, settings)
    model = source if isinstance(source, MatchingModel) else MatchingModel.load(resolve_path(source))
    model.check(_encoder(settings.clip).identity(), settings.triplet)
    return model


def _fit(embeddings: Embeddings, settings: MethodSettings) -> MatchingModel:
    bank = Bank.of([embeddings], settings.triplet.bank)
    loss = losses(embeddings, bank, settings.triplet)
    fit = fit_mixture(loss.total, settings.mixture)
    if fit.rejection_reason:
        raise MixtureError(f"no reliable mixture of these posts: {fit.rejection_reason}; pass mixture=...")
    cosine_range = (float(loss.cosine.min()), float(loss.cosine.max()))
    return MatchingModel({"all": fit}, bank, _encoder(settings.clip).identity(), settings.triplet, cosine_range)


def _synthesize(posts: Sequence[Post], settings: MethodSettings) -> dict[int, GeneratedImage]:
    prompts = {index: prompt for index, post in enumerate(posts) if (prompt := make_prompt(post.text)) is not None}
    seeds = [post_seed(settings.seed, posts[index].id) for index in prompts]
    generator = _generator(settings.generator, settings.image.size)
    results = generator.generate(list(prompts.values()), seeds, lambda _, pixels: _to_jpeg(pixels, settings.image))
    return dict(zip(prompts, results, strict=True))


def _to_jpeg(pixels: NDArray[np.uint8], settings: ImageSettings) -> bytes:
    return encode_jpeg(pixels, settings.quality, source="synthesized")


def _synthesis_status(arm: str, result: GeneratedImage | None) -> str:
    if not needs_synthesis(arm):
        return "not_asked"
    if result is None:
        return "no_prompt"
    return "ok" if result.failure is None else f"failed({result.failure})"


@lru_cache(maxsize=2)
def _encoder(settings: ClipSettings) -> ClipEncoder:
    return ClipEncoder.load(settings)


@lru_cache(maxsize=2)
def _generator(settings: GeneratorSettings, size: int) -> Generator:
    return Generator.load(settings, size)
