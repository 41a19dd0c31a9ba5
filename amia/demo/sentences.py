"""From a template to the words of a post: names filled in, wording varied, the oddities of tweets added."""

import random

from amia.demo.names import Entity
from amia.demo.templates import Template

_OTHER_WORDS: dict[str, tuple[str, ...]] = {
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
_DROPPED = frozenset(
    {"so", "just", "really", "the", "a", "this", "my", "please", "already", "very", "best", "old", "all"}
)
_OPENERS = ("omg", "lol", "wow ,", "breaking :", "today :", "ok but", "tbh", "update :", "guys ,")
_CLOSERS = ("!!", "#news", "#fyi", "via @user", "pic", "...", "#nowplaying", "@user", "#tbt", "?!", "#wow")
_SMILEYS = (":)", ":D", ";)", ":(", "<3", "😂", "🔥", "😍")


def fill(template: Template, entities: dict[str, Entity], rng: random.Random) -> tuple[list[str], list[str]]:
    """Tokens and BIO2 tags of one post.

    `entities` maps what the template says (`PER`, ..., `ANY`) to who is meant. Words are dropped or replaced now and
    then, but never a name.
    """
    tokens: list[str] = []
    tags: list[str] = []
    for word in template.words:
        entity = entities.get(word)
        if entity is not None:
            name = entity.surface.split()
            tokens += name
            tags += [f"B-{entity.kind}"] + [f"I-{entity.kind}"] * (len(name) - 1)
            continue
        words = _vary(word, rng)
        tokens += words
        tags += ["O"] * len(words)
    before, after = _oddities(rng)
    tokens, tags = before + tokens + after, ["O"] * len(before) + tags + ["O"] * len(after)
    if rng.random() < 0.1:
        tokens = [token.lower() for token in tokens]
    return tokens, tags


def _vary(word: str, rng: random.Random) -> list[str]:
    """The word, none, or others in its place."""
    if word in _DROPPED and rng.random() < 0.3:
        return []
    if word in _OTHER_WORDS and rng.random() < 0.3:
        return rng.choice(_OTHER_WORDS[word]).split()
    return [word]


def _oddities(rng: random.Random) -> tuple[list[str], list[str]]:
    """What stands before and after the sentence proper, as token lists; often nothing."""
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
