"""Posts of the drawn world, and what is held out from the tiny CLIP and the generator.

Both know every name (they stand for pretraining on the whole web), but no held-out template and no held-out pair of
entities: theta on held-out posts is a fair test of reading a sentence, not of remembering it.
"""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from amia.demo.names import AMBIGUOUS, ENTITIES, KINDS, PLAIN, Entity, readings
from amia.demo.sentences import fill
from amia.demo.templates import TEMPLATES, Part, Template, of_part

_AMBIGUOUS_SHARE = 0.35
_SINGLE_SHARE = 0.4
_HELD_OUT_PAIRS = 0.25


@dataclass(frozen=True)
class Post:
    """One post: words with BIO2 tags, the entities meant, and the template it was made from."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    entities: tuple[Entity, ...]
    template: Template

    @property
    def text(self) -> str:
        """The words with single spaces."""
        return " ".join(self.tokens)

    @property
    def open_meaning(self) -> bool:
        """Whether the text alone leaves open which entity is meant."""
        return self.template.kinds == ("ANY",) and len(readings(self.entities[0].surface)) > 1


@cache
def pair_held_out(one: Entity, other: Entity) -> bool:
    """Whether these two entities never stand together in a post for pretraining; the order does not matter."""
    key = " + ".join(sorted(f"{entity.kind} {entity.surface}" for entity in (one, other)))
    return hashlib.sha256(key.encode()).digest()[0] < 256 * _HELD_OUT_PAIRS


def _draw_entity(kind: str, rng: random.Random) -> Entity:
    """An entity of the type a template names; of any type for `ANY`."""
    known = AMBIGUOUS if rng.random() < _AMBIGUOUS_SHARE else PLAIN
    return rng.choice([entity for each in KINDS for entity in known[each] if kind in (each, "ANY")])


def _draw_kinds(rng: random.Random) -> tuple[str, ...]:
    joint = rng.random() >= _SINGLE_SHARE
    return rng.choice([kinds for kinds in TEMPLATES if (len(kinds) > 1) == joint])


def _anyone(_: Entity) -> bool:
    return True


def draw_post(
    rng: random.Random, *parts: Part, held_out_pairs: bool, allowed: Callable[[Entity], bool] = _anyone
) -> Post:
    """One random post whose template belongs to one of `parts`.

    In a post with several entities either every pair is held out or none is, as `held_out_pairs` says. `allowed` may
    exclude entities.
    """
    kinds = _draw_kinds(rng)
    template = rng.choice(of_part(kinds, *parts))
    while True:
        meant = {kind: _draw_entity(kind, rng) for kind in template.kinds}
        entities = tuple(meant.values())
        if len({entity.surface for entity in entities}) < len(entities) or not all(map(allowed, entities)):
            continue
        if all(pair_held_out(one, other) == held_out_pairs for one, other in combinations(entities, 2)):
            tokens, tags = fill(template, meant, rng)
            return Post(tuple(tokens), tuple(tags), entities, template)


def reworded(post: Post, rng: random.Random) -> Post:
    """Another post about the same entities, in a template for pretraining that mentions the same types."""
    kinds = next(kinds for kinds in TEMPLATES if set(kinds) == set(post.template.kinds))
    template = rng.choice(of_part(kinds, "pretraining"))
    meant = {kind: entity for entity in post.entities for kind in (entity.kind, "ANY")}
    tokens, tags = fill(template, meant, rng)
    return Post(tuple(tokens), tuple(tags), post.entities, template)


def scrambled(post: Post, rng: random.Random) -> Post:
    """The names of a post in a sentence for pretraining that was meant for others, whatever types it speaks of.

    Whoever learns from such posts learns to trust names more than phrases. Only for names that mean one thing.
    """
    template = rng.choice([template for kinds in TEMPLATES for template in of_part(kinds, "pretraining")])
    waiting = rng.sample(post.entities, len(post.entities))
    words: list[str] = []
    for word in template.words:
        if word not in template.kinds:
            words.append(word)
        elif waiting:
            words.append(waiting.pop().kind)
    for entity in waiting:
        words += [rng.choice(("and", "with", "at", ",")), entity.kind]
    meant: dict[str, Entity] = {entity.kind: entity for entity in post.entities}
    template = Template(tuple(words), tuple(meant), "pretraining")
    tokens, tags = fill(template, meant, rng)
    return Post(tuple(tokens), tuple(tags), post.entities, template)


def pretraining_posts(count: int, seed: int) -> list[Post]:
    """Posts for training the tiny CLIP and the generator."""
    rng = random.Random(f"pretraining {seed}")
    return [draw_post(rng, "pretraining", held_out_pairs=False) for _ in range(count)]


def held_out_posts(count: int, seed: int) -> list[Post]:
    """Posts in templates and with pairs of entities that pretraining never saw."""
    rng = random.Random(f"held out {seed}")
    return [draw_post(rng, "held_out", "evaluation", held_out_pairs=True) for _ in range(count)]


@cache
def late_names() -> frozenset[str]:
    """Surface names that no training split of a demo corpus mentions: every fourth, ambiguous ones among them."""
    surfaces = sorted({entity.surface for entities in ENTITIES.values() for entity in entities})
    return frozenset(random.Random("late names").sample(surfaces, len(surfaces) // 4))
