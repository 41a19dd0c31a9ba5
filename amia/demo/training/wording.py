"""How a post is worded anew while the generator learns."""

import random

from amia.demo.names import readings
from amia.demo.world import Post, reworded, scrambled


def loosely_worded(post: Post, rng: random.Random) -> Post:
    """Half of the time the names of `post` stand in a sentence meant for others, so that names count most.

    Without this, phrases of the training sentences draw by themselves: a coach, whoever is named, draws a person.
    Ambiguous names keep sentences of their own, since these are what settles their meaning.
    """
    plain = all(len(readings(entity.surface)) == 1 for entity in post.entities)
    return scrambled(post, rng) if plain and rng.random() < 0.5 else reworded(post, rng)
