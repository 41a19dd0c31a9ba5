"""Shares of a corpus that decide whether images can help its recognizers, for the demo corpus and real ones.

`python -m tests.benchmarks.bench_corpus_shares [FOLDER ...]` prints a table with a column for the demo corpus and one
for each FOLDER with a corpus in the CoNLL layout (`train.txt` and `test.txt`). Ranges of Twitter-2015 and Twitter-2017
stand beside them; those of visible entities are by the boxes of Twitter-GMNER.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from amia.demo import write_corpus
from amia.demo.names import KINDS

Sentence = list[tuple[str, str]]
"""Pairs of token and tag."""

RANGES = {
    "test mentions with an unseen name": (0.45, 0.65),
    "mentions a name in train": (1.3, 1.8),
    "names of train that occur once": (0.81, 0.85),
    "mentions with an ambiguous name": (0.076, 0.096),
    "seen mentions with the majority type": (0.92, 0.96),
    "type from the context, all": (0.59, 0.68),
    "type from the context, unseen": (0.60, 0.64),
    "type from the characters, all": (0.73, 0.84),
    "type from the characters, unseen": (0.64, 0.70),
    "entities a post that has some": (1.64, 2.05),
    "posts with one entity": (0.35, 0.55),
    "posts with several entities of one type": (0.31, 0.37),
    "words a post": (15.7, 16.2),
    "PER": (0.36, 0.46),
    "LOC": (0.13, 0.33),
    "ORG": (0.17, 0.29),
    "MISC": (0.12, 0.15),
    "visible": (0.392, 0.418),
    "visible, PER": (0.63, 0.68),
    "visible, LOC": (0.08, 0.10),
    "visible, ORG": (0.26, 0.28),
    "visible, MISC": (0.20, 0.32),
    "visible, ambiguous names": (0.19, 0.22),
    "posts with a visible entity": (0.545, 0.664),
}
"""Smallest and largest figure of Twitter-2015 and Twitter-2017."""


@dataclass(frozen=True)
class Mention:
    """One entity of a post, and what surrounds it."""

    surface: str
    kind: str
    context: dict[str, float]


def read_sentences(path: Path) -> list[Sentence]:
    """Read a CoNLL file whose blocks may begin with a line `IMGID:...`."""
    sentences = []
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        lines = [line.split("\t") for line in block.split("\n") if line.strip() and not line.startswith("IMGID:")]
        if lines:
            sentences.append([(line[0], line[-1]) for line in lines])
    return sentences


def spans(sentence: Sentence) -> Iterator[tuple[int, int, str]]:
    """Yield start, end (exclusive) and type of each entity."""
    start = 0
    tags = [tag for _, tag in sentence] + ["O"]
    for position, tag in enumerate(tags):
        if position and tags[position - 1] != "O" and not tag.startswith("I-"):
            yield start, position, tags[start][2:].replace("OTHER", "MISC")
        if tag.startswith("B-"):
            start = position


def mentions_of(sentence: Sentence) -> list[Mention]:
    """Return the mentions of a post; in their contexts each name is one placeholder."""
    words: list[str] = []
    places: list[tuple[int, str, str]] = []
    entities = {start: (end, kind) for start, end, kind in spans(sentence)}
    position = 0
    while position < len(sentence):
        if position in entities:
            end, kind = entities[position]
            places.append((len(words), " ".join(token for token, _ in sentence[position:end]), kind))
            words.append("<name>")
            position = end
        else:
            words.append(sentence[position][0].lower())
            position += 1
    padded = ["<pad>"] * 2 + words + ["<pad>"] * 2
    bag = {f"word {word}": 1.0 for word in words if word != "<name>"}
    return [
        Mention(surface, kind, bag | {f"{o} {padded[place + 2 + o]}": 1.0 for o in (-2, -1, 1, 2)})
        for place, surface, kind in places
    ]


def measure(train: list[Sentence], test: list[Sentence]) -> dict[str, float]:
    """Return the shares of a corpus that can be computed from texts and tags."""
    posts = [mentions_of(sentence) for sentence in train]
    known = [mention for post in posts for mention in post]
    tested = [mention for sentence in test for mention in mentions_of(sentence)]
    forms = Counter(mention.surface for mention in known)
    kinds: dict[str, Counter[str]] = {}
    for mention in known:
        kinds.setdefault(mention.surface, Counter())[mention.kind] += 1
    of_both: dict[str, set[str]] = {}
    for mention in (*known, *tested):
        of_both.setdefault(mention.surface, set()).add(mention.kind)
    seen = np.array([mention.surface in forms for mention in tested])
    majority = [kinds[m.surface].most_common(1)[0][0] == m.kind for m in tested if m.surface in forms]
    with_some = [post for post in posts if post]
    context = _predict_types([m.context for m in known], [m.context for m in tested], known, DictVectorizer())
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), lowercase=False)
    characters = _predict_types([m.surface for m in known], [m.surface for m in tested], known, letters)
    truth = np.array([mention.kind for mention in tested])
    shares = Counter(mention.kind for mention in (*known, *tested))
    return {
        "test mentions with an unseen name": 1 - seen.mean(),
        "mentions a name in train": len(known) / len(forms),
        "names of train that occur once": sum(count == 1 for count in forms.values()) / len(forms),
        "mentions with an ambiguous name": float(np.mean([len(of_both[m.surface]) > 1 for m in (*known, *tested)])),
        "seen mentions with the majority type": float(np.mean(majority)),
        "type from the context, all": (context == truth).mean(),
        "type from the context, unseen": (context == truth)[~seen].mean(),
        "type from the characters, all": (characters == truth).mean(),
        "type from the characters, unseen": (characters == truth)[~seen].mean(),
        "entities a post that has some": len(known) / len(with_some),
        "posts with one entity": sum(len(post) == 1 for post in posts) / len(posts),
        "posts with several entities of one type": sum(
            len({mention.kind for mention in post}) < len(post) for post in posts
        )
        / len(posts),
        "words a post": sum(map(len, train)) / len(train),
    } | {kind: shares[kind] / shares.total() for kind in KINDS}


def _predict_types(
    train: Sequence[object], test: Sequence[object], known: list[Mention], vectorizer: DictVectorizer | TfidfVectorizer
) -> "np.ndarray[tuple[int, ...], np.dtype[np.str_]]":
    features = vectorizer.fit_transform(train)
    model = LogisticRegression(max_iter=1000).fit(features, [mention.kind for mention in known])
    return np.asarray(model.predict(vectorizer.transform(test)))


def measure_visible(truth_file: Path) -> dict[str, float]:
    """Return the shares of mentions that images show, by the truth of a demo corpus. A mismatched image shows none."""
    posts = [json.loads(line) for line in truth_file.read_text(encoding="utf-8").splitlines()]
    posts = [post for post in posts if post["matched"] is not None]
    entities = [entity for post in posts for entity in post["entities"]]

    def share(chosen: list[dict[str, object]]) -> float:
        return sum(entity["box"] is not None for entity in chosen) / len(chosen)

    return (
        {"visible": share(entities)}
        | {f"visible, {kind}": share([entity for entity in entities if entity["type"] == kind]) for kind in KINDS}
        | {
            "visible, ambiguous names": share([e for e in entities if e["frequency"] == "ambiguous"]),
            "posts with a visible entity": sum(any(e["box"] for e in post["entities"]) for post in posts) / len(posts),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="folders with real corpora")
    parser.add_argument("--posts", type=int, default=2400, help="posts of the demo corpus")
    parser.add_argument("--seed", type=int, default=0, help="seed of the demo corpus")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_corpus(folder, posts=arguments.posts, seed=arguments.seed)
        columns = {"demo": _measure_folder(folder) | measure_visible(folder / "truth.ndjson")}
    columns |= {path.name: _measure_folder(path) for path in arguments.folders}
    print(f"{'':42}{'real corpora':>16}" + "".join(f"{name:>16}" for name in columns))
    for row, (low, high) in RANGES.items():
        cells = "".join(f"{column[row]:16.3f}" if row in column else f"{'-':>16}" for column in columns.values())
        print(f"{row:42}{f'{low:g} to {high:g}':>16}{cells}")


def _measure_folder(folder: Path) -> dict[str, float]:
    return measure(read_sentences(folder / "train.txt"), read_sentences(folder / "test.txt"))


if __name__ == "__main__":
    main()
