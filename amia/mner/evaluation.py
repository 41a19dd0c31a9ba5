"""Scores on named parts of a test set: by how well image and text match, and by whether training knew the name.

A span's surface form is its words, lower-cased and joined by one space. The parts:

| slice | posts | of their gold and of their predicted spans |
|---|---|---|
| all | all | all |
| matched | with an image and theta > 0.5 | all |
| mismatched | with an image and theta <= 0.5 | all |
| with_image | with an image | all |
| seen | all | whose surface form is an entity in the training posts' gold |
| unseen | all | whose surface form is none |
| ambiguous | all | whose surface form is one there with two types or more; a part of seen |

Gold and predicted spans are filtered alike, each by its own surface form, whatever its type: a span that is right stays
right, seen and unseen add up to all, and a wrong boundary counts in the slice of what was predicted as well as in the
slice of what was missed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from amia.mner.metrics import Report, score_lines
from amia.mner.spans import Span, lenient_spans, renamed_types, strict_spans

__all__ = ["ScoredPost", "lenient", "slice_lines", "slice_reports", "strict", "surface_forms"]

Spans = tuple[list[Span], list[Span]]
"""Gold and predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPost:
    """One post with what a recognizer said of it."""

    id: str
    tokens: tuple[str, ...]
    tags: tuple[str, ...] | None
    """Tags as read, one a token; None where only `gold` is known."""
    gold: tuple[str, ...]
    """`ner_tags`: the same as valid BIO2, OTHER = MISC, one a token."""
    predicted: tuple[str, ...]
    """One label a token."""
    theta: float | None
    """How well image and text match, in [0, 1] (eq. 8); None where nothing was fitted."""
    has_image: bool
    """Whether the post came with an image that could be read, whatever image the recognizer saw."""


def lenient(post: ScoredPost) -> Spans:
    """The field's practice: chunks of `gold`."""
    return lenient_spans(post.gold), lenient_spans(post.predicted)


def strict(post: ScoredPost) -> Spans:
    """IOB2 to the letter, of the tags as read with OTHER = MISC and nothing else repaired; of `gold` without them."""
    gold = post.gold if post.tags is None else renamed_types(post.tags)
    return strict_spans(gold), strict_spans(post.predicted)


def surface_forms(sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> dict[str, frozenset[str]]:
    """Each entity's surface form in (tokens, valid BIO2 tags) of training posts -> its types there."""
    types: defaultdict[str, set[str]] = defaultdict(set)
    for tokens, tags in sentences:
        for span in lenient_spans(tags):
            types[_form(tokens, span)].add(span.type)
    return {form: frozenset(kinds) for form, kinds in types.items()}


def slice_reports(
    posts: Sequence[ScoredPost],
    forms: Mapping[str, frozenset[str]],
    spans: Callable[[ScoredPost], Spans] = lenient,
) -> dict[str, Report]:
    """The module's table, in its order; a slice without any span reports zeros.

    `forms` are the training posts' `surface_forms`; `spans` is `lenient` or `strict`. In the slices by surface form
    `posts` of a report counts every post, as each may hold such spans.
    """
    pairs = [(post, *spans(post)) for post in posts]
    reports = {
        name: Report.of((gold, predicted) for post, gold, predicted in pairs if belongs(post))
        for name, belongs in _BY_POST.items()
    }
    for name, belongs in _BY_TYPES.items():
        chosen = partial(_chosen, belongs, forms)
        reports[name] = Report.of((chosen(post, gold), chosen(post, predicted)) for post, gold, predicted in pairs)
    return reports


def slice_lines(reports: Mapping[str, Report]) -> list[str]:
    """A plain table of all types together, one line a slice with its number of posts."""
    return score_lines({f"{name} ({report.posts:,} posts)": report.micro for name, report in reports.items()})


_BY_POST: dict[str, Callable[[ScoredPost], bool]] = {
    "all": lambda post: True,
    "matched": lambda post: post.has_image and post.theta is not None and post.theta > 0.5,
    "mismatched": lambda post: post.has_image and post.theta is not None and post.theta <= 0.5,
    "with_image": lambda post: post.has_image,
}
_BY_TYPES: dict[str, Callable[[int], bool]] = {
    "seen": lambda types: types > 0,
    "unseen": lambda types: types == 0,
    "ambiguous": lambda types: types > 1,
}
"""By how many types the surface form has in training."""


def _chosen(
    belongs: Callable[[int], bool], forms: Mapping[str, frozenset[str]], post: ScoredPost, spans: Sequence[Span]
) -> list[Span]:
    return [span for span in spans if belongs(len(forms.get(_form(post.tokens, span), ())))]


def _form(tokens: Sequence[str], span: Span) -> str:
    return " ".join(tokens[span.start : span.end]).lower()
