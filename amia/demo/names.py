"""Names of the demo world: famous, ambiguous and rare ones.

Every model knows the famous and the ambiguous names. Rare names are pairs of twins (`amia.demo.rare_names`): the tiny
CLIP and the generator learn one of them and never meet the other, and the recognizer's BERT meets neither.
"""

from typing import Literal, NamedTuple

Kind = Literal["PER", "LOC", "ORG", "MISC"]

KINDS: tuple[Kind, ...] = ("PER", "LOC", "ORG", "MISC")


class NamedEntity(NamedTuple):
    """An entity of the demo world: its surface name and its type."""

    surface: str
    kind: Kind


def _split(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(","))


FAMOUS_NAMES: dict[Kind, tuple[str, ...]] = {
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
"""Unambiguous names, 20 per type. Persons and organizations are fictitious."""

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
"""Names with two readings: the types of their entities."""

FAMOUS: dict[Kind, tuple[NamedEntity, ...]] = {
    kind: tuple(NamedEntity(name, kind) for name in names) for kind, names in FAMOUS_NAMES.items()
}
"""Entities with a famous, unambiguous name, by type."""

AMBIGUOUS: dict[Kind, tuple[NamedEntity, ...]] = {
    kind: tuple(NamedEntity(name, kind) for name, kinds in AMBIGUOUS_NAMES.items() if kind in kinds) for kind in KINDS
}
"""Entities whose name is also that of an entity of another type, by type."""

_READINGS: dict[str, tuple[NamedEntity, ...]] = {
    name: tuple(NamedEntity(name, kind) for kind in kinds) for name, kinds in AMBIGUOUS_NAMES.items()
}


def readings(entity: NamedEntity) -> tuple[NamedEntity, ...]:
    """Return all entities with the name of `entity`: itself, or two for an ambiguous name."""
    return _READINGS.get(entity.surface, (entity,))
