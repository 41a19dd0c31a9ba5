"""Who and what the drawn world knows: 108 entities of four types behind 94 surface names.

Fourteen surface names exist in two types, so that only the sentence or the image says which one is meant.
"""

from typing import Literal, NamedTuple

Kind = Literal["PER", "LOC", "ORG", "MISC"]

KINDS: tuple[Kind, ...] = ("PER", "LOC", "ORG", "MISC")


class Entity(NamedTuple):
    """One thing of the world: what posts call it, and its type."""

    surface: str
    kind: Kind


def _split(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(","))


PLAIN_NAMES: dict[Kind, tuple[str, ...]] = {
    "PER": _split(
        "Mira Okafor, Theo Lindgren, Nadia Ruiz, Kofi Mensah, Elsa Brandt, Ravi Menon, Yuki Tanaka, Omar Haddad, "
        "Lola Ferrer, Ivan Petrov, Grace Oduya, Hugo Laurent, Anika, Bastian, Celeste, Dmitri, Fatima, Gideon, Imani, "
        "Jasper"
    ),
    "LOC": _split(
        "Lisbon, Nairobi, Oslo, Lima, Kyoto, Cairo, Quebec, Mumbai, Havana, Seoul, Cape Town, New Orleans, San Diego, "
        "Hong Kong, Buenos Aires, Reykjavik, Zurich, Dublin, Vienna, Marrakesh"
    ),
    "ORG": _split(
        "Norvik Airlines, Bluefin Bank, Halden United, Orbitel, Kestrel FC, Pinewood Press, Quantia, Solara Energy, "
        "Vireo Labs, Zephyr Motors, City Harriers, Tundra Foods, Radio Meridian, Cobalt Systems, Lumen Health, "
        "Granite Union, Ferrum, Ocelot Games, Delta Rovers, Mapleleaf"
    ),
    "MISC": _split(
        "Skylark 5, Golden Quill, Dragon Saga, Winter Games, Pixel Quest, Iron Tides, Neon Nights, Comet Cola, "
        "Turbo Kart, Silver Harp, Summer Jam, Cloud Nine, Red Lantern, Astro Pop, Vinyl Week, Grand Prix, "
        "Hoverboard Z, Mystic Tarot, Robo Pal, Starfall"
    ),
}
"""Names that mean one thing only, 20 a type. Persons and organizations are invented."""

AMBIGUOUS_NAMES: dict[str, tuple[Kind, Kind]] = {
    "Paris": ("PER", "LOC"),
    "Jordan": ("PER", "LOC"),
    "Madison": ("PER", "LOC"),
    "Austin": ("PER", "LOC"),
    "Chelsea": ("PER", "ORG"),
    "Ford": ("PER", "ORG"),
    "Amazon": ("LOC", "ORG"),
    "Phoenix": ("LOC", "ORG"),
    "Apple": ("ORG", "MISC"),
    "Galaxy": ("ORG", "MISC"),
    "Jaguar": ("ORG", "MISC"),
    "Lincoln": ("PER", "MISC"),
    "Mercedes": ("PER", "MISC"),
    "Everest": ("LOC", "MISC"),
}
"""Names with two readings."""

PLAIN: dict[Kind, tuple[Entity, ...]] = {
    kind: tuple(Entity(name, kind) for name in names) for kind, names in PLAIN_NAMES.items()
}
"""The entities of each type whose name means nothing else."""

AMBIGUOUS: dict[Kind, tuple[Entity, ...]] = {
    kind: tuple(Entity(name, kind) for name, kinds in AMBIGUOUS_NAMES.items() if kind in kinds) for kind in KINDS
}
"""The entities of each type whose name also means something of another type."""

ENTITIES: dict[Kind, tuple[Entity, ...]] = {kind: PLAIN[kind] + AMBIGUOUS[kind] for kind in KINDS}
"""Every entity by type, in a fixed order (a look depends on the place in it)."""


def readings(surface: str) -> tuple[Entity, ...]:
    """All entities that posts call `surface`: one, or two for an ambiguous name."""
    return tuple(entity for kind in KINDS for entity in ENTITIES[kind] if entity.surface == surface)
