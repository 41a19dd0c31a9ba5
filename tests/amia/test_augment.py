"""`augment_posts` on a list of posts, compared with its parts."""

import numpy as np
import pytest

import amia
from amia.demo import MIXTURE_DIR, write_corpus
from amia.errors import MixtureError, SettingsError
from amia.images import decode, fetch_image, resize_to_square
from amia.matching.model import MatchingModel
from amia.mixing.mixup import mixup
from amia.posts import Post, RawPost, validate_post
from amia.readers import open_corpus
from amia.settings import load_method
from amia.synthesis.seeds import post_seed

SETTINGS = load_method("demo")


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> list[Post]:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, posts=400, missing=0.0, broken=0.0)
    corpus = open_corpus(folder)
    posts = []
    for raw in corpus:
        if len(posts) == 10:
            break
        assert isinstance(raw, RawPost)
        post = validate_post(raw)
        assert isinstance(post, Post)
        image = fetch_image(corpus.image_root, post.image_path or "", SETTINGS.image)
        posts.append(Post(id=post.id, text=post.text, split="train", image=image))
    return posts


@pytest.fixture(scope="module")
def augmented(posts: list[Post]) -> list[amia.AugmentedPost]:
    return amia.augment_posts(posts, "demo")


def test_default_mixture_of_the_preset(posts: list[Post], augmented: list[amia.AugmentedPost]) -> None:
    assert [result.post for result in augmented] == posts
    assert {(result.image_status, result.synthesis_status) for result in augmented} == {("ok", "ok")}
    assert all(result.ratio == result.theta and 0 <= result.theta <= 1 for result in augmented)
    assert [result.seed for result in augmented] == [post_seed(0, post.id) for post in posts]
    assert len({result.theta for result in augmented}) > 1


def test_image_is_eq_9_of_its_sources(augmented: list[amia.AugmentedPost]) -> None:
    for result in augmented:
        assert result.image is not None
        assert result.synthesized is not None
        original = resize_to_square(decode(result.post.image or b"", SETTINGS.image), SETTINGS.image)
        synthesized = np.asarray(decode(result.synthesized, SETTINGS.image))
        expected = mixup(original, synthesized, result.theta).astype(int)
        # The remaining difference is the loss of JPEG.
        assert np.abs(np.asarray(decode(result.image, SETTINGS.image)).astype(int) - expected).mean() < 8


def test_uses_the_given_mixture(posts: list[Post], augmented: list[amia.AugmentedPost]) -> None:
    mixture = MatchingModel.load(MIXTURE_DIR)
    again = amia.augment_posts(posts, "demo", mixture=mixture)
    assert [result.theta for result in again] == [result.theta for result in augmented]
    assert [result.image for result in again] == [result.image for result in augmented]
    losses = np.array([result.loss for result in augmented])
    assert np.array_equal(mixture.theta(losses, "train"), [result.theta for result in augmented])


def test_two_sided_arm_scores_synthesized_images_like_own_ones(
    posts: list[Post], augmented: list[amia.AugmentedPost]
) -> None:
    results = amia.augment_posts([*posts, Post(id="none", text=posts[0].text)], "demo", arm="two-sided")
    assert {result.theta_synthesized for result in augmented} == {None}
    as_own_images = [Post(id=result.post.id, text=result.post.text, image=result.synthesized) for result in results]
    thetas = [result.theta for result in amia.augment_posts(as_own_images, "demo", arm="original")]
    assert [result.theta_synthesized for result in results] == pytest.approx(thetas, abs=1e-6)
    *with_both, without_own = results
    for result, expected in zip(with_both, augmented, strict=True):
        theta, theta_v = result.theta, result.theta_synthesized
        assert theta == pytest.approx(expected.theta, abs=1e-6)
        assert theta_v is not None
        assert result.synthesized == expected.synthesized
        assert result.ratio == (1 if max(theta, theta_v) < 0.01 else theta / (theta + (1 - theta) * theta_v))
    assert (without_own.ratio, without_own.image) == (0, without_own.synthesized)
    assert without_own.theta_synthesized is not None


def test_two_sided_arm_without_any_own_image_scores_nothing(posts: list[Post]) -> None:
    (result,) = amia.augment_posts([Post(id="none", text=posts[0].text)], "demo", arm="two-sided")
    assert (result.theta_synthesized, result.ratio, result.image) == (None, 0, result.synthesized)
    invisible = Post(id="invisible", text="\u200b\ufe0f", image=posts[3].image)
    (result,) = amia.augment_posts([invisible], "demo", arm="two-sided")
    assert (result.theta_synthesized, result.ratio, result.synthesis_status) == (None, 1, "no_prompt")


@pytest.mark.promise(18)
def test_unusable_image_shows_the_synthesized_one(posts: list[Post]) -> None:
    inputs = [
        Post(id="none", text=posts[0].text),
        Post(id="broken", text=posts[1].text, image=b"<html>not found</html>"),
        Post(id="intact", text=posts[2].text, image=posts[2].image),
        Post(id="invisible", text="\u200b\ufe0f", image=posts[3].image),
    ]
    none, broken, intact, invisible = amia.augment_posts(inputs, "demo")
    assert (none.image_status, none.theta, none.ratio, none.loss) == ("no_image", 0.0, 0.0, None)
    assert none.image == none.synthesized is not None
    assert broken.image_status == "bad_image(not_an_image)"
    assert broken.image == broken.synthesized is not None
    assert intact.image_status == "ok"
    assert (invisible.synthesis_status, invisible.ratio, invisible.prompt, invisible.synthesized) == (
        "no_prompt",
        1.0,
        None,
        None,
    )
    assert invisible.image is not None


def test_arms_without_synthesis_generate_nothing(posts: list[Post]) -> None:
    original, text = (amia.augment_posts(posts[:2], "demo", arm=arm) for arm in ("original", "text"))
    assert [(result.ratio, result.synthesis_status, result.synthesized) for result in original] == [
        (1.0, "not_asked", None)
    ] * 2
    assert [(result.ratio, result.image) for result in text] == [(None, None)] * 2
    assert all(result.loss is not None for result in text)


def test_too_few_posts_without_mixture(posts: list[Post]) -> None:
    settings = SETTINGS.model_copy(update={"shipped_mixture": None})
    with pytest.raises(MixtureError, match=r"only 10 losses .*pass mixture="):
        amia.augment_posts(posts, settings)


def test_unknown_arm_or_preset_suggests_the_nearest(posts: list[Post]) -> None:
    with pytest.raises(SettingsError, match="did you mean 'adaptive'"):
        amia.augment_posts(posts, "demo", arm="adaptiv")
    with pytest.raises(SettingsError, match="did you mean 'demo'"):
        amia.augment_posts(posts, "demi")


def test_demo_mixture_matches_the_demo_encoder() -> None:
    from amia.matching.clip import ClipEncoder

    MatchingModel.load(MIXTURE_DIR).check(ClipEncoder.load(SETTINGS.clip).identity(), SETTINGS.triplet)
