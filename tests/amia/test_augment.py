"""augment_posts: the method on a list of posts, against its parts called by hand."""

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
    found = []
    for raw in corpus:
        if len(found) == 10:
            break
        assert isinstance(raw, RawPost)
        post = validate_post(raw)
        assert isinstance(post, Post)
        image = fetch_image(corpus.image_root, post.image_path or "", SETTINGS.image)
        found.append(Post(id=post.id, text=post.text, split="train", image=image))
    return found


@pytest.fixture(scope="module")
def augmented(posts: list[Post]) -> list[amia.AugmentedPost]:
    return amia.augment_posts(posts, "demo")


def test_ten_posts_with_the_preset_s_shipped_mixture(posts: list[Post], augmented: list[amia.AugmentedPost]) -> None:
    assert [one.post for one in augmented] == posts
    assert {(one.image_status, one.synthesis_status) for one in augmented} == {("ok", "ok")}
    assert all(one.ratio == one.theta and 0 <= one.theta <= 1 for one in augmented)
    assert [one.seed for one in augmented] == [post_seed(0, post.id) for post in posts]
    assert len({one.theta for one in augmented}) > 1


def test_the_picture_is_eq_9_of_its_two_sources(augmented: list[amia.AugmentedPost]) -> None:
    for one in augmented:
        assert one.image is not None
        assert one.synthesized is not None
        original = resize_to_square(decode(one.post.image or b"", SETTINGS.image), SETTINGS.image)
        drawn = np.asarray(decode(one.synthesized, SETTINGS.image))
        wanted = mixup(original, drawn, one.theta).astype(int)
        # What is left is JPEG's own loss.
        assert np.abs(np.asarray(decode(one.image, SETTINGS.image)).astype(int) - wanted).mean() < 8


def test_the_given_mixture_is_the_one_that_is_used(posts: list[Post], augmented: list[amia.AugmentedPost]) -> None:
    frozen = MatchingModel.load(MIXTURE_DIR)
    again = amia.augment_posts(posts, "demo", mixture=frozen)
    assert [one.theta for one in again] == [one.theta for one in augmented]
    assert [one.image for one in again] == [one.image for one in augmented]
    losses = np.array([one.loss for one in augmented])
    assert np.array_equal(frozen.theta(losses, "train"), [one.theta for one in augmented])


@pytest.mark.promise(18)
def test_posts_without_a_usable_image_get_the_synthesized_one(posts: list[Post]) -> None:
    odd = [
        Post(id="none", text=posts[0].text),
        Post(id="broken", text=posts[1].text, image=b"<html>not found</html>"),
        Post(id="whole", text=posts[2].text, image=posts[2].image),
        Post(id="mute", text="\u200b\ufe0f", image=posts[3].image),
    ]
    none, broken, whole, mute = amia.augment_posts(odd, "demo")
    assert (none.image_status, none.theta, none.ratio, none.loss) == ("no_image", 0.0, 0.0, None)
    assert none.image == none.synthesized is not None
    assert broken.image_status == "bad_image(not_an_image)"
    assert broken.image == broken.synthesized is not None
    assert whole.image_status == "ok"
    assert (mute.synthesis_status, mute.ratio, mute.prompt, mute.synthesized) == ("no_prompt", 1.0, None, None)
    assert mute.image is not None


def test_arms_that_look_at_no_synthesized_image_draw_none(posts: list[Post]) -> None:
    original, text = (amia.augment_posts(posts[:2], "demo", arm=arm) for arm in ("original", "text"))
    assert [(one.ratio, one.synthesis_status, one.synthesized) for one in original] == [(1.0, "not_asked", None)] * 2
    assert [(one.ratio, one.image) for one in text] == [(None, None)] * 2
    assert all(one.loss is not None for one in text)


def test_too_few_posts_and_no_mixture_is_refused(posts: list[Post]) -> None:
    alone = SETTINGS.model_copy(update={"shipped_mixture": None})
    with pytest.raises(MixtureError, match=r"only 10 losses .*pass mixture="):
        amia.augment_posts(posts, alone)


def test_an_unknown_arm_or_preset_names_the_nearest(posts: list[Post]) -> None:
    with pytest.raises(SettingsError, match="did you mean 'adaptive'"):
        amia.augment_posts(posts, "demo", arm="adaptiv")
    with pytest.raises(SettingsError, match="did you mean 'demo'"):
        amia.augment_posts(posts, "demi")


def test_the_shipped_mixture_belongs_to_the_shipped_encoder() -> None:
    from amia.matching.clip import ClipEncoder

    MatchingModel.load(MIXTURE_DIR).check(ClipEncoder.load(SETTINGS.clip).identity(), SETTINGS.triplet)
