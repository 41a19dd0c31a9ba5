"""Posts of the demo world: what they mention, and what their images show.

Shares of names, types, templates and visible entities are settings (`PostShares`). Pretraining posts train the tiny
CLIP and the generator; they mention known names only, in sentences that no corpus contains. So theta on a corpus tests
whether the models understand a sentence, not whether they memorized it.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from amia.demo.names import AMBIGUOUS, FAMOUS, KINDS, Kind, NamedEntity, readings
from amia.demo.rare_names import Twins, invent_name, rare_twins
from amia.demo.sentences import fill_template
from amia.demo.shares import PRETRAINING, PostShares
from amia.demo.templates import Section, Template, neutral_templates, typed_templates

Frequency = Literal["famous", "ambiguous", "rare"]

RareNames = Literal["known", "unknown", "invented"]

_SMALLEST = 1e-9
"""Distance of probabilities from 0 and 1, so that the times until entities become visible are finite and not 0."""


class Mention(NamedTuple):
    """An entity that a post mentions, before the share of known names decides between twins."""

    entity: NamedEntity | Twins
    kind: Kind
    frequency: Frequency

    def choose(self, known: float) -> NamedEntity:
        """Return the entity in a corpus with a share `known` of known rare names."""
        return self.entity.choose(known) if isinstance(self.entity, Twins) else self.entity


@dataclass(frozen=True)
class DemoPost:
    """One post: words with BIO2 tags, its entities in the order of the sentence, and its template."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    entities: tuple[NamedEntity, ...]
    template: Template

    @property
    def text(self) -> str:
        """The words, separated by single spaces."""
        return " ".join(self.tokens)

    @property
    def is_ambiguous(self) -> bool:
        """Whether the text alone does not determine an entity."""
        return self.template.is_neutral and any(len(readings(entity)) > 1 for entity in self.entities)


def write_post(
    entities: Sequence[NamedEntity], template: Template, section: Section, words: float, rng: random.Random
) -> DemoPost:
    """Return a post about `entities`, which take the places of the template's placeholders in their order."""
    tokens, tags = fill_template(template, entities, section, words, rng)
    return DemoPost(tuple(tokens), tuple(tags), tuple(entities), template)


def draw_kinds(shares: PostShares, rng: random.Random) -> tuple[Kind, ...]:
    """Return the types of the entities of a random post."""
    count = rng.choices((1, 2, 3), weights=shares.entities)[0]
    kinds = rng.choices(KINDS, weights=[shares.kinds[kind] for kind in KINDS], k=count)
    return tuple(kinds[0] if index and rng.random() < shares.same_kind else kind for index, kind in enumerate(kinds))


def draw_template(kinds: Sequence[Kind], section: Section, neutral: float, rng: random.Random) -> Template:
    """Return a random template for entities of these types; a neutral one with probability `neutral`."""
    if rng.random() < neutral:
        return rng.choice(neutral_templates(section, len(kinds)))
    return rng.choice(typed_templates(section, tuple(sorted(kinds))))


def draw_mentions(kinds: Sequence[Kind], shares: PostShares, rng: random.Random) -> tuple[Mention, ...]:
    """Return random mentions of distinct entities of these types, each rare name equally often."""
    mentions: list[Mention] = []
    while len(mentions) < len(kinds):
        mention = draw_mention(kinds[len(mentions)], shares, rng)
        if mention not in mentions:
            mentions.append(mention)
    return tuple(mentions)


def draw_mention(kind: Kind, shares: PostShares, rng: random.Random) -> Mention:
    """Return a random mention of an entity of type `kind`."""
    draw = rng.random()
    if draw < shares.rare:
        return Mention(rng.choice(rare_twins(kind)), kind, "rare")
    if draw < shares.rare + shares.ambiguous:
        return Mention(rng.choice(AMBIGUOUS[kind]), kind, "ambiguous")
    return Mention(rng.choice(FAMOUS[kind]), kind, "famous")


class Visibility(NamedTuple):
    """Which entities the images of a post show."""

    entities: tuple[NamedEntity, ...]
    """Those in a matching image, at least one, in the order of the sentence."""
    latency: float
    """Time at which the first entity becomes visible. Posts with greater ones are mismatched first."""


def draw_visible(entities: Sequence[NamedEntity], shares: PostShares, rng: random.Random) -> Visibility:
    """Draw which of `entities` a matching image shows: each with the probability of its type, but at least one.

    Each entity becomes visible after an exponentially distributed time whose rate gives it the probability of its type
    at time 1. A post whose entities are all hidden then is one whose real image would match least: its latency exceeds
    1, and it shows the entity that becomes visible first.
    """
    times = []
    for entity in entities:
        probability = shares.visible[entity.kind] * (shares.visible_ambiguous if len(readings(entity)) > 1 else 1.0)
        probability = min(max(probability, _SMALLEST), 1 - _SMALLEST)
        times.append(rng.expovariate(-math.log1p(-probability)))
    latency = min(times)
    shown = tuple(entity for entity, time in zip(entities, times, strict=True) if time <= max(1.0, latency))
    return Visibility(shown, latency)


def in_order_of(template: Template, mentions: Sequence[Mention]) -> tuple[Mention, ...]:
    """Sort mentions into the places of a template: each gets the first one that its type allows."""
    remaining = list(mentions)
    ordered = []
    for placeholder in template.placeholders:
        index = next(i for i, mention in enumerate(remaining) if template.is_neutral or mention.kind == placeholder)
        ordered.append(remaining.pop(index))
    return tuple(ordered)


def draw_posts(count: int, seed: int, section: Section, rare: RareNames = "known") -> list[DemoPost]:
    """Return random posts with sentences of `section`.

    `rare`: whether rare names are those that CLIP and generator know, those that they do not know, or invented for each
    mention.
    """
    rng = random.Random(f"{section} {seed}")
    posts = []
    for _ in range(count):
        kinds = draw_kinds(PRETRAINING, rng)
        template = draw_template(kinds, section, PRETRAINING.neutral, rng)
        mentions = in_order_of(template, draw_mentions(kinds, PRETRAINING, rng))
        if rare == "invented":
            entities = [invent_name(m.kind, rng) if m.frequency == "rare" else m.choose(1.0) for m in mentions]
        else:
            entities = [mention.choose(1.0 if rare == "known" else 0.0) for mention in mentions]
        posts.append(write_post(entities, template, section, PRETRAINING.words, rng))
    return posts


def reword(post: DemoPost, rng: random.Random) -> DemoPost:
    """Return a post about the same entities with another pretraining template, neutral like that of `post` or not."""
    neutral = 1.0 if post.template.is_neutral else 0.0
    template = draw_template([entity.kind for entity in post.entities], "pretraining", neutral, rng)
    if template.is_neutral:
        entities = rng.sample(post.entities, len(post.entities))
    else:
        remaining = list(post.entities)
        entities = []
        for placeholder in template.placeholders:
            entities.append(remaining.pop(next(i for i, e in enumerate(remaining) if e.kind == placeholder)))
    return write_post(entities, template, "pretraining", PRETRAINING.words, rng)


def scramble(post: DemoPost, rng: random.Random) -> DemoPost:
    """Return the names of a post in a pretraining sentence for entities of other types.

    A model trained on such posts learns to rely on names more than on phrases. Only for unambiguous names.
    """
    kinds = rng.choices(KINDS, k=len(post.entities))
    template = draw_template(kinds, "pretraining", 0.0, rng)
    entities = rng.sample(post.entities, len(post.entities))
    return write_post(entities, template, "pretraining", PRETRAINING.words, rng)
