from amia.mner.spans import TYPES, label_names, renamed_types


def test_a_label_stands_at_its_number():
    assert label_names(TYPES) == ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-MISC", "I-MISC"]
    assert label_names([]) == ["O"]


def test_only_the_type_is_renamed():
    read = ["I-OTHER", "B-OTHER", "I-OTHER", "O", "I-PER", "B-OTHERS", "[SEP]", "B-geo-loc"]
    assert renamed_types(read) == ["I-MISC", "B-MISC", "I-MISC", "O", "I-PER", "B-OTHERS", "[SEP]", "B-geo-loc"]
