"""From the posts that the first look chose to the groups that the page shows."""

from collections.abc import Mapping, Sequence

from amia.report.sampling import DECILES, decile_of
from amia.report.view_models import ImageGroup, ImageTriple
from ray_jobs.reporting.images import PostView
from ray_jobs.reporting.scan import PostRef, ScanResult
from ray_jobs.storage.status import describe_status

__all__ = ["groups", "places", "strip"]

SHORTEST_STRIP = 4

Key = tuple[str, int]


def places(looked: ScanResult) -> list[PostRef]:
    """Every post that `groups` and the failures show."""
    sample = looked.sample
    some = [*sample.deciles, *sample.extremes.values(), looked.unusable, looked.unscored, *looked.failures.values()]
    return list({place.key: place for each in some for place in each.items}.values())


def groups(looked: ScanResult, pictures: Mapping[Key, PostView]) -> list[ImageGroup]:
    """Tenths of theta with their posts in rising theta, the extremes among them; then the posts that have no theta."""
    notes: dict[Key, list[str]] = {}
    extreme: dict[Key, PostRef] = {}
    for end, some in looked.sample.extremes.items():
        for place in some.items:
            notes.setdefault(place.key, []).append(end)
            extreme[place.key] = place
    found = []
    for number, decile in enumerate(looked.sample.deciles):
        chosen = {place.key: place for place in decile.items}
        chosen |= {key: place for key, place in extreme.items() if decile_of(place.theta or 0.0) == number}
        rising = sorted(chosen.values(), key=lambda place: (place.theta or 0.0, place.id))
        title = f"θ {number / DECILES:.1f} – {(number + 1) / DECILES:.1f}"
        triples = [_triple(place, pictures[place.key], notes.get(place.key, ())) for place in rising]
        found.append(ImageGroup(title=title, posts=decile.seen, triples=triples))
    for title, some in (("Without a usable image", looked.unusable), ("Compared with nothing", looked.unscored)):
        triples = [_triple(place, pictures[place.key], ()) for place in some.items]
        found.append(ImageGroup(title=title, posts=some.seen, triples=triples))
    return found


def strip(looked: ScanResult, pictures: Mapping[Key, PostView]) -> list[ImageTriple]:
    """One post of each tenth of theta that has both images, in rising theta; none where there are too few."""
    found = []
    for decile in looked.sample.deciles:
        whole = (place for place in decile.items if pictures[place.key].original and pictures[place.key].augmented)
        if (place := next(whole, None)) is not None:
            found.append(_triple(place, pictures[place.key], ()))
    return found if len(found) >= SHORTEST_STRIP else []


def _triple(place: PostRef, picture: PostView, notes: Sequence[str]) -> ImageTriple:
    image, synthesis = f"image={place.image_status}", f"synthesis={place.synthesis_status}"
    said = [describe_status(status) for status in (image, synthesis) if not status.endswith(("=ok", "=not_asked"))]
    return ImageTriple(
        id=place.id,
        split=place.split,
        pieces=picture.pieces,
        original=picture.original,
        synthesized=picture.synthesized,
        augmented=picture.augmented,
        theta=place.theta,
        ratio=place.ratio,
        loss=place.loss,
        cosine=place.cosine,
        notes=[*said, *notes],
    )
