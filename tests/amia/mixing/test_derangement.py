"""Exchanged images: nobody keeps its own, nobody is left out where that is possible."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from amia.mixing.derangement import derange_images

IMAGES = st.lists(st.one_of(st.none(), st.sampled_from([b"a", b"b", b"c", b"d", b"e"])), max_size=12)


@given(IMAGES, st.integers(0, 3))
def test_an_exchange_of_images(images: list[bytes | None], seed: int) -> None:
    shown = derange_images([str(place) for place in range(len(images))], images, seed)
    for image, other in zip(images, shown, strict=True):
        assert other is None or image is not None
        assert other is None or images[other] != image
    given_away = Counter(other for other in shown if other is not None)
    assert all(count == 1 for count in given_away.values())
    most = max(Counter(image for image in images if image is not None).values(), default=0)
    with_image = sum(image is not None for image in images)
    if 2 * most <= with_image:
        assert len(given_away) == with_image


def test_the_exchange_follows_the_seed_and_not_the_order_of_posts() -> None:
    images: dict[str, bytes | None] = {f"post {number}": bytes([number]) for number in range(40)} | {"bare": None}

    def by_id(ids: list[str], seed: int) -> dict[str, str | None]:
        shown = derange_images(ids, [images[each] for each in ids], seed)
        return {each: None if other is None else ids[other] for each, other in zip(ids, shown, strict=True)}

    once = by_id(list(images), 0)
    assert once == by_id(sorted(images, reverse=True), 0)
    assert once != by_id(list(images), 1)
    assert derange_images(["alone"], [b"own"], 0) == [None]
