"""What the tiny ResNet sees and the tiny BERT reads, asked by linear probes on their vectors."""

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoModel, AutoTokenizer, ConvNextImageProcessorPil

from amia.demo.drawing.appearance import look_of
from amia.demo.drawing.scene import draw_photograph
from amia.demo.names import ENTITIES
from amia.demo.training.random_scenes import invented_look, picture
from amia.demo.world import draw_post, late_names

FIELDS = {
    "PER": ("style", "main", "extra", "detail", "accessory"),
    "LOC": ("style", "main", "extra", "detail", "accessory"),
    "ORG": ("style", "main", "second", "detail"),
    "MISC": ("style", "main", "second"),
}
"""What images of each type show of a look."""


class Seer:
    """The ResNet in `folder`, as float32."""

    def __init__(self, folder):
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = ConvNextImageProcessorPil.from_pretrained(folder)

    @torch.no_grad()
    def maps(self, images):
        """Feature maps (N, C, 7, 7)."""
        parts = []
        for first in range(0, len(images), 64):
            pixels = self.processor(images[first : first + 64], return_tensors="pt")
            parts.append(self.model(**pixels).last_hidden_state)
        return torch.cat(parts)

    def pooled(self, images):
        """Vectors of whole images (N, C)."""
        return self.maps(images).mean((2, 3)).numpy()


class Reader:
    """The BERT in `folder`, as float32."""

    def __init__(self, folder):
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.no_grad()
    def words(self, posts):
        """The vector of the first piece of every word of every post (M, H), post after post."""
        texts = [list(post.tokens) for post in posts]
        tokens = self.tokenizer(texts, is_split_into_words=True, padding=True, truncation=True, return_tensors="pt")
        states = self.model(**tokens).last_hidden_state
        vectors = []
        for row, post in enumerate(posts):
            places = tokens.word_ids(row)
            vectors += [states[row, places.index(word)] for word in range(len(post.tokens))]
        return torch.stack(vectors).numpy()


def attributes_read(seer, kind, fields, rng, known=600, tested=200):
    """For each of `fields` of a look: how often it is read right from photographs of entities of type `kind`.

    The probe learns from images of invented looks. Beside it stands how often the best constant guess is right.
    """
    invented = [invented_look(kind, rng) for _ in range(known)]
    entities = rng.choices(ENTITIES[kind], k=tested)
    learned = seer.pooled([picture({kind: look}, rng) for look in invented])
    seen = seer.pooled([draw_photograph([entity], rng) for entity in entities])
    read = {}
    for field in fields:
        answers = [getattr(look_of(entity), field) for entity in entities]
        probe = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        guesses = probe.fit(learned, [getattr(look, field) for look in invented]).predict(seen)
        read[field] = np.mean(guesses == np.array(answers)), max(map(answers.count, set(answers))) / tested
    return read


def types_read(reader, rng, known=400, tested=200):
    """How often words of late names get their type in sentences for evaluation, and the share of the commonest type.

    The probe learns as a recognizer does: from sentences of a demo corpus' training split, which lacks these names.
    """
    late = late_names()

    def early(entity):
        return entity.surface not in late

    def only_late(entity):
        return entity.surface in late

    posts = [draw_post(rng, "held_out", held_out_pairs=True, allowed=early) for _ in range(known)]
    unseen = [draw_post(rng, "evaluation", held_out_pairs=True, allowed=only_late) for _ in range(tested)]
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    guesses = probe.fit(reader.words(posts), _tags(posts)).predict(reader.words(unseen))
    answers = _tags(unseen)
    named = answers != "O"
    return (guesses == answers)[named].mean(), max((answers[named] == kind).mean() for kind in ENTITIES)


def _tags(posts):
    """The type of every word, without BIO prefix."""
    return np.array([tag.removeprefix("B-").removeprefix("I-") for post in posts for tag in post.tags])
