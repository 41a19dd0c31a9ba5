"""Examples and the numbers that a reader makes of them, each beside its own image."""

from amia.mner.features import Example, encode_example
from amia.mner.tokenizers import Vocabulary

EXAMPLES = [
    Example(id="a", tokens=("Ali", "sings"), labels=(1, 0), image=b"one"),
    Example(id="b", tokens=("Ali",)),
]


def test_each_post_in_order_with_its_labels_and_its_image() -> None:
    reader = Vocabulary(["Ali", "sings"], "Aligns")
    items = encode_example(EXAMPLES, reader)
    assert [item.text for item in items] == [
        reader.encode("a", ["Ali", "sings"], [1, 0]),
        reader.encode("b", ["Ali"]),
    ]
    assert items[0].text.words == (2, 3)
    assert (items[0].text.labels, items[1].text.labels) == ((1, 0), None)
    assert [item.image for item in items] == [b"one", None]
