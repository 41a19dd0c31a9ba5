"""Exchange of images: no post keeps its own, and no image is lost where that is possible."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from amia.mixing.derangement import derange_images

IMAGES = st.lists(st.one_of(st.none(), st.sampled_from([b"a", b"b", b"c", b"d", b"e"])), max_size=12)


@given(IMAGES, st.integers(0, 3))
def test_no_post_shows_its_own_image(images: list[bytes | None], seed: int) -> None:
    shown = derange_images([str(index) for index in range(len(images))], images, seed)
    for image, other in zip(images, shown, strict=True):
        assert other is None or image is not None
        assert other is None or images[other] != image
    uses = Counter(other for other in shown if other is not None)
    assert all(count == 1 for count in uses.values())
    largest_group = max(Counter(image for image in images if image is not None).values(), default=0)
    with_image = sum(image is not None for image in images)
    if 2 * largest_group <= with_image:
        assert len(uses) == with_image


def test_depends_on_the_seed_and_not_on_post_order() -> None:
    images: dict[str, bytes | None] = {f"post {number}": bytes([number]) for number in range(40)} | {"bare": None}

    def by_id(ids: list[str], seed: int) -> dict[str, str | None]:
        shown = derange_images(ids, [images[post_id] for post_id in ids], seed)
        return {post_id: None if other is None else ids[other] for post_id, other in zip(ids, shown, strict=True)}

    expected = by_id(list(images), 0)
    assert by_id(sorted(images, reverse=True), 0) == expected
    assert by_id(list(images), 1) != expected
    assert derange_images(["alone"], [b"own"], 0) == [None]
