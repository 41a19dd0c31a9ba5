"""Fill templates: insert names, vary the wording, and add the clutter of tweets."""

import random
from collections.abc import Sequence

from amia.demo.names import NamedEntity
from amia.demo.templates import Section, Template, fillers

_REPLACEMENTS: dict[str, tuple[str, ...]] = {
    "tonight": ("today", "this week", "on sunday"),
    "today": ("tonight", "yesterday", "this week"),
    "best": ("greatest", "coolest", "funniest"),
    "new": ("latest", "brand new"),
    "amazing": ("great", "so cool"),
    "terrible": ("awful", "so bad"),
    "perfect": ("lovely", "great"),
    "love": ("adore", "like"),
    "loves": ("adores", "likes"),
    "hates": ("dislikes", "cannot stand"),
    "fans": ("people", "the fans"),
    "visits": ("tours", "goes to"),
    "wins": ("takes", "just won"),
    "lost": ("stuck",),
    "rumor": ("gossip", "they say"),
    "shows": ("presents",),
    "buys": ("takes over",),
    "again": ("once more", "as always"),
    "is": ("was",),
    "shares": ("stocks",),
    "report": ("rumors",),
    "old": ("busy", "quiet"),
}
_OPTIONAL = frozenset(
    {"so", "just", "really", "the", "a", "this", "my", "please", "already", "very", "best", "old", "all"}
)
_WORDS_DEVIATION = 3.0
_FILLER_WORDS = 6
"""Words of a usual clause without an entity, with the word or mark that joins it."""
_JOINTS = (",", ".", "...", "-", "and", "but", "!", ";")
_OPENERS = ("omg", "lol", "wow ,", "breaking :", "today :", "ok but", "tbh", "update :", "guys ,")
_CLOSERS = ("!!", "#news", "#fyi", "via @user", "pic", "...", "#nowplaying", "@user", "#tbt", "?!", "#wow")
_SMILEYS = (":)", ":D", ";)", ":(", "<3", "😂", "🔥", "😍")


def fill_template(
    template: Template, entities: Sequence[NamedEntity], section: Section, words: float, rng: random.Random
) -> tuple[list[str], list[str]]:
    """Return tokens and BIO2 tags of one post of about `words` words.

    `entities` take the places of the placeholders, in their order. Words are dropped or replaced at random, but never
    names. Clauses without an entity are put before and after the sentence until the post is long enough.
    """
    tokens: list[str] = []
    tags: list[str] = []
    remaining = iter(entities)
    for word in template.words:
        if word in template.placeholders:
            entity = next(remaining)
            name_tokens = entity.surface.split()
            tokens += name_tokens
            tags += [f"B-{entity.kind}"] + [f"I-{entity.kind}"] * (len(name_tokens) - 1)
            continue
        varied = _vary_word(word, rng)
        tokens += varied
        tags += ["O"] * len(varied)
    before, after = _random_clutter(rng)
    wanted = rng.gauss(words, _WORDS_DEVIATION) - len(before) - len(after)
    while len(tokens) + _FILLER_WORDS / 2 < wanted:
        filler = [varied for word in rng.choice(fillers(section)) for varied in _vary_word(word, rng)]
        if rng.random() < 0.5:
            tokens, tags = [*filler, rng.choice(_JOINTS), *tokens], ["O"] * (len(filler) + 1) + tags
        else:
            tokens, tags = [*tokens, rng.choice(_JOINTS), *filler], tags + ["O"] * (len(filler) + 1)
    tokens, tags = before + tokens + after, ["O"] * len(before) + tags + ["O"] * len(after)
    if rng.random() < 0.1:
        tokens = [token.lower() for token in tokens]
    return tokens, tags


def _vary_word(word: str, rng: random.Random) -> list[str]:
    """Return the word, no word, or a replacement."""
    if word in _OPTIONAL and rng.random() < 0.3:
        return []
    if word in _REPLACEMENTS and rng.random() < 0.3:
        return rng.choice(_REPLACEMENTS[word]).split()
    return [word]


def _random_clutter(rng: random.Random) -> tuple[list[str], list[str]]:
    """Return tokens to put before and after the sentence, often none."""
    before: list[str] = []
    after: list[str] = []
    if rng.random() < 0.2:
        before += ["RT", "@user", ":"]
    if rng.random() < 0.25:
        before += rng.choice(_OPENERS).split()
    if rng.random() < 0.25:
        after += rng.choice(_CLOSERS).split()
    if rng.random() < 0.2:
        after.append(rng.choice(_SMILEYS))
    if rng.random() < 0.2:
        link = "".join(rng.choices("abcdefghkmnpqrstuvwxyz0123456789", k=4))
        after.append(f"http://t.co/{link}")
    return before, after
