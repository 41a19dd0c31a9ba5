"""Test tokenization of examples."""

from amia.mner.features import Example, encode_examples
from amia.mner.tokenizers import Vocabulary

EXAMPLES = [
    Example(id="a", tokens=("Ali", "sings"), labels=(1, 0), image=b"image"),
    Example(id="b", tokens=("Ali",)),
]


def test_keeps_order_labels_and_images() -> None:
    vocabulary = Vocabulary(["Ali", "sings"], "Aligns")
    features = encode_examples(EXAMPLES, vocabulary)
    assert [feature.encoded for feature in features] == [
        vocabulary.encode("a", ["Ali", "sings"], [1, 0]),
        vocabulary.encode("b", ["Ali"]),
    ]
    assert features[0].encoded.word_ids == (2, 3)
    assert (features[0].encoded.labels, features[1].encoded.labels) == ((1, 0), None)
    assert [feature.image for feature in features] == [b"image", None]
