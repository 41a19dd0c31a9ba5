"""Posts of the demo world, and what is held out from the tiny CLIP and the generator.

Both models know every name, which imitates pretraining on the whole web, but no held-out template and no held-out
pair of entities. So theta on held-out posts tests whether they understand a sentence, not whether they memorized it.
"""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from amia.demo.names import AMBIGUOUS, ENTITIES, KINDS, PLAIN, NamedEntity, readings
from amia.demo.sentences import fill_template
from amia.demo.templates import TEMPLATES, Partition, Template, select_templates

_AMBIGUOUS_SHARE = 0.35
_SINGLE_SHARE = 0.4
_HELD_OUT_PAIRS = 0.25


@dataclass(frozen=True)
class DemoPost:
    """One post: words with BIO2 tags, its entities, and its template."""

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
        """Whether the text alone does not determine the entity."""
        return self.template.kinds == ("ANY",) and len(readings(self.entities[0].surface)) > 1


def _allow_all(_: NamedEntity) -> bool:
    return True


def draw_post(
    rng: random.Random,
    *partitions: Partition,
    held_out_pairs: bool,
    allowed: Callable[[NamedEntity], bool] = _allow_all,
) -> DemoPost:
    """Generate a random post whose template belongs to one of `partitions`.

    If a post has several entities, every pair of them is held out, or none is, as `held_out_pairs` specifies. `allowed`
    may exclude entities.
    """
    kinds = _random_kinds(rng)
    template = rng.choice(select_templates(kinds, *partitions))
    while True:
        by_placeholder = {kind: _random_entity(kind, rng) for kind in template.kinds}
        entities = tuple(by_placeholder.values())
        if len({entity.surface for entity in entities}) < len(entities) or not all(map(allowed, entities)):
            continue
        if all(is_held_out_pair(first, second) == held_out_pairs for first, second in combinations(entities, 2)):
            tokens, tags = fill_template(template, by_placeholder, rng)
            return DemoPost(tuple(tokens), tuple(tags), entities, template)


def pretraining_posts(count: int, seed: int) -> list[DemoPost]:
    """Return posts for training the tiny CLIP and the generator."""
    rng = random.Random(f"pretraining {seed}")
    return [draw_post(rng, "pretraining", held_out_pairs=False) for _ in range(count)]


def held_out_posts(count: int, seed: int) -> list[DemoPost]:
    """Return posts with templates and pairs of entities that do not occur in pretraining."""
    rng = random.Random(f"held out {seed}")
    return [draw_post(rng, "held_out", "evaluation", held_out_pairs=True) for _ in range(count)]


def reword(post: DemoPost, rng: random.Random) -> DemoPost:
    """Return a post about the same entities with a pretraining template for the same types."""
    kinds = next(kinds for kinds in TEMPLATES if set(kinds) == set(post.template.kinds))
    template = rng.choice(select_templates(kinds, "pretraining"))
    by_placeholder = {kind: entity for entity in post.entities for kind in (entity.kind, "ANY")}
    tokens, tags = fill_template(template, by_placeholder, rng)
    return DemoPost(tuple(tokens), tuple(tags), post.entities, template)


def scramble(post: DemoPost, rng: random.Random) -> DemoPost:
    """Return the names of a post in a pretraining sentence for other entities, for any types that it mentions.

    A model trained on such posts learns to rely on names more than on phrases. Only for unambiguous names.
    """
    template = rng.choice([template for kinds in TEMPLATES for template in select_templates(kinds, "pretraining")])
    remaining = rng.sample(post.entities, len(post.entities))
    words: list[str] = []
    for word in template.words:
        if word not in template.kinds:
            words.append(word)
        elif remaining:
            words.append(remaining.pop().kind)
    for entity in remaining:
        words += [rng.choice(("and", "with", "at", ",")), entity.kind]
    by_placeholder: dict[str, NamedEntity] = {entity.kind: entity for entity in post.entities}
    template = Template(tuple(words), tuple(by_placeholder), "pretraining")
    tokens, tags = fill_template(template, by_placeholder, rng)
    return DemoPost(tuple(tokens), tuple(tags), post.entities, template)


@cache
def is_held_out_pair(first: NamedEntity, second: NamedEntity) -> bool:
    """Check whether two entities never occur together in a pretraining post. The order does not matter."""
    key = " + ".join(sorted(f"{entity.kind} {entity.surface}" for entity in (first, second)))
    return hashlib.sha256(key.encode()).digest()[0] < 256 * _HELD_OUT_PAIRS


@cache
def late_names() -> frozenset[str]:
    """Return the surface names that no training split of a demo corpus contains: a quarter, some of them ambiguous."""
    surfaces = sorted({entity.surface for entities in ENTITIES.values() for entity in entities})
    return frozenset(random.Random("late names").sample(surfaces, len(surfaces) // 4))


def _random_kinds(rng: random.Random) -> tuple[str, ...]:
    joint = rng.random() >= _SINGLE_SHARE
    return rng.choice([kinds for kinds in TEMPLATES if (len(kinds) > 1) == joint])


def _random_entity(placeholder: str, rng: random.Random) -> NamedEntity:
    """Return a random entity of the type of a placeholder; of any type for `ANY`."""
    entities = AMBIGUOUS if rng.random() < _AMBIGUOUS_SHARE else PLAIN
    return rng.choice([entity for kind in KINDS for entity in entities[kind] if placeholder in (kind, "ANY")])
