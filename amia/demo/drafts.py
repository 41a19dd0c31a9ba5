"""Posts of a demo corpus before the shares of known names and of mismatched images are chosen.

Every random choice of a post has a random generator of its own, named after the post and the purpose. So corpora of
one seed that differ in one share differ in nothing else.
"""

import random
from dataclasses import dataclass

from amia.demo.drawing.appearance import get_look
from amia.demo.drawing.scene import Drawing, draw_photograph
from amia.demo.names import KINDS, Kind, NamedEntity
from amia.demo.rare_names import Twins, rare_twins
from amia.demo.shares import CorpusShares
from amia.demo.templates import Section, Template
from amia.demo.world import (
    DemoPost,
    Mention,
    Visibility,
    draw_kinds,
    draw_mention,
    draw_mentions,
    draw_template,
    draw_visible,
    in_order_of,
    write_post,
)

__all__ = ["Draft", "NameSource"]


class NameSource:
    """Draws the names of a corpus: some rare ones return, and other splits mention some that train lacks."""

    def __init__(self, rng: random.Random, shares: CorpusShares) -> None:
        self._shares = shares
        self._rng = rng
        self._new = {kind: [twins for twins in rare_twins(kind) if not twins.late] for kind in KINDS}
        self._late = {kind: [twins for twins in rare_twins(kind) if twins.late] for kind in KINDS}
        self._seen: dict[Kind, list[Twins]] = {kind: [] for kind in KINDS}
        for names in self._new.values():
            rng.shuffle(names)

    def draw(self, kind: Kind, section: Section) -> Mention:
        """Return a random mention of an entity of type `kind`."""
        mention = draw_mention(kind, self._shares.posts, self._rng)
        if mention.frequency != "rare":
            return mention
        new, seen = self._new[kind], self._seen[kind]
        if section == "train":
            if new and (not seen or self._rng.random() < self._shares.new):
                seen.append(new.pop())
                return mention._replace(entity=seen[-1])
            frequent = seen[: max(1, round(len(seen) * self._shares.frequent))]
            return mention._replace(entity=self._rng.choice(frequent))
        unseen = not seen or self._rng.random() < self._shares.unseen
        return mention._replace(entity=self._rng.choice(self._late[kind] if unseen else seen))


@dataclass(frozen=True)
class Draft:
    """A post whose mentions, template and visible entities are fixed."""

    key: str
    section: Section
    template: Template
    mentions: tuple[Mention, ...]
    """In the order of the sentence."""
    visibility: Visibility
    """Entities in its matching image; of twins, which look alike, the known ones."""

    @classmethod
    def draw(cls, key: str, section: Section, shares: CorpusShares, names: NameSource) -> "Draft":
        """Draw the post `key`."""
        rng = random.Random(f"post {key}")
        kinds = draw_kinds(shares.posts, rng)
        seen = section == "test" and rng.random() < shares.seen_templates
        template = draw_template(kinds, "train" if seen else section, shares.posts.neutral, rng)
        mentions: list[Mention] = []
        while len(mentions) < len(kinds):
            mention = names.draw(kinds[len(mentions)], section)
            if mention not in mentions:
                mentions.append(mention)
        ordered = in_order_of(template, mentions)
        visibility = draw_visible([mention.choose(1.0) for mention in ordered], shares.posts, rng)
        return cls(key, section, template, ordered, visibility)

    def rng(self, purpose: str) -> random.Random:
        """Return the random generator for one purpose."""
        return random.Random(f"{purpose} {self.key}")

    def write(self, known: float, words: float) -> DemoPost:
        """Return the post in a corpus with a share `known` of known rare names, in about `words` words."""
        entities = [mention.choose(known) for mention in self.mentions]
        return write_post(entities, self.template, self.section, words, self.rng("words"))

    def draw_image(self) -> Drawing:
        """Return a matching photograph: of the visible entities."""
        return draw_photograph(self.visibility.entities, self.rng("image"))

    def draw_other_image(self, shares: CorpusShares) -> Drawing:
        """Return a mismatched photograph: of the entities of a random post that look otherwise."""
        rng = self.rng("other image")
        return draw_photograph(draw_visible(self.draw_others(shares, rng), shares.posts, rng).entities, rng)

    def draw_others(self, shares: CorpusShares, rng: random.Random) -> list[NamedEntity]:
        """Return the entities of a random post, none of which looks like one of this post; of twins, the known ones."""
        own = {mention.kind for mention in self.mentions}
        looks = {(mention.kind, get_look(mention.choose(1.0))) for mention in self.mentions}
        changes_kind = shares.other_kinds is not None and rng.random() < shares.other_kinds
        while True:
            kinds = draw_kinds(shares.posts, rng)
            if changes_kind and own & set(kinds) and len(own) < len(KINDS):
                continue
            others = [mention.choose(1.0) for mention in draw_mentions(kinds, shares.posts, rng)]
            if not looks & {(entity.kind, get_look(entity)) for entity in others}:
                return others
