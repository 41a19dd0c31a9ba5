r"""Evaluation of predictions: scores on slices of a test set, and the predictions as CoNLL.

The slices distinguish posts by how well image and text match, and spans by whether training contained the name. A
span's surface form is its words, lower-cased and joined by one space.

| slice | posts | spans, gold and predicted |
|---|---|---|
| all | all | all |
| matched | with an image and theta > 0.5 | all |
| mismatched | with an image and theta <= 0.5 | all |
| with_image | with an image | all |
| seen | all | surface form is an entity in the gold of the training posts |
| unseen | all | surface form is not |
| ambiguous | all | surface form has two or more types there; a subset of seen |

Gold and predicted spans are filtered independently, each by its surface form and for any type: a correct span
stays correct, seen and unseen add up to all, and a wrong boundary counts in the slice of the predicted span as well as
in the slice of the missed one.

CoNLL: `IMGID:<id>`, then token, gold and predicted tag per line with a TAB between them, then a blank line. Gold
precedes the prediction, as conlleval expects (`-d '\t'`, without the `IMGID:` lines). `amia.readers.conll` takes the
second of three columns as the tag: the file reads back as a corpus with its gold tags, without the predictions.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from amia.mner.metrics import ScoreReport, format_scores
from amia.mner.spans import Span, lenient_spans, rename_types, strict_spans

__all__ = [
    "ScoredPost",
    "format_slices",
    "lenient_span_pair",
    "score_slices",
    "strict_span_pair",
    "surface_forms",
    "to_conll",
]

SpanPair = tuple[list[Span], list[Span]]
"""Gold and predicted spans of a post."""

_COLUMN_BREAKS = re.compile(r"[\t\r\n]")
"""Characters that a line of columns cannot hold; all others stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPost:
    """One post with its gold tags and a recognizer's predictions."""

    id: str
    tokens: tuple[str, ...]
    tags: tuple[str, ...] | None
    """Tags as read, one per token. None if only `gold` is known."""
    gold: tuple[str, ...]
    """`ner_tags`: the same as valid BIO2, OTHER = MISC, one per token."""
    predicted: tuple[str, ...]
    """One label per token."""
    theta: float | None
    """How well image and text match, in [0, 1] (eq. 8). None if nothing was fitted."""
    has_image: bool
    """Whether the post came with a readable image; the recognizer may have been given another one."""


def lenient_span_pair(post: ScoredPost) -> SpanPair:
    """Extract spans in the usual way: chunks of `gold`."""
    return lenient_spans(post.gold), lenient_spans(post.predicted)


def strict_span_pair(post: ScoredPost) -> SpanPair:
    """Extract strict IOB2 spans of the tags as read (with OTHER = MISC, nothing else repaired), or else of `gold`."""
    gold = post.gold if post.tags is None else rename_types(post.tags)
    return strict_spans(gold), strict_spans(post.predicted)


def surface_forms(sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> dict[str, frozenset[str]]:
    """Map each entity's surface form in (tokens, valid BIO2 tags) of training posts to its types there."""
    types: defaultdict[str, set[str]] = defaultdict(set)
    for tokens, tags in sentences:
        for span in lenient_spans(tags):
            types[_surface_form(tokens, span)].add(span.type)
    return {form: frozenset(form_types) for form, form_types in types.items()}


def score_slices(
    posts: Sequence[ScoredPost],
    forms: Mapping[str, frozenset[str]],
    extract_spans: Callable[[ScoredPost], SpanPair] = lenient_span_pair,
) -> dict[str, ScoreReport]:
    """Score each slice of the module's table, in its order; a slice without any span has zeros.

    `forms` are the `surface_forms` of the training posts; `extract_spans` is `lenient_span_pair` or
    `strict_span_pair`. In the slices by surface form, `posts` of a report counts every post, as each may hold such
    spans.
    """
    pairs = [(post, *extract_spans(post)) for post in posts]
    reports = {
        name: ScoreReport.from_spans((gold, predicted) for post, gold, predicted in pairs if in_slice(post))
        for name, in_slice in _POST_SLICES.items()
    }
    for name, in_slice in _FORM_SLICES.items():
        select = partial(_select_spans, in_slice, forms)
        reports[name] = ScoreReport.from_spans(
            (select(post, gold), select(post, predicted)) for post, gold, predicted in pairs
        )
    return reports


def format_slices(reports: Mapping[str, ScoreReport]) -> list[str]:
    """Format a text table of all types together, one line per slice with its number of posts."""
    return format_scores({f"{name} ({report.posts:,} posts)": report.micro for name, report in reports.items()})


def to_conll(posts: Iterable[ScoredPost]) -> str:
    """Format posts as CoNLL, in order; a TAB or a line break within a token or id becomes a space."""
    return "".join(map(_to_conll_block, posts))


_POST_SLICES: dict[str, Callable[[ScoredPost], bool]] = {
    "all": lambda post: True,
    "matched": lambda post: post.has_image and post.theta is not None and post.theta > 0.5,
    "mismatched": lambda post: post.has_image and post.theta is not None and post.theta <= 0.5,
    "with_image": lambda post: post.has_image,
}
_FORM_SLICES: dict[str, Callable[[int], bool]] = {
    "seen": lambda num_types: num_types > 0,
    "unseen": lambda num_types: num_types == 0,
    "ambiguous": lambda num_types: num_types > 1,
}
"""Conditions on the number of types that a surface form has in training."""


def _select_spans(
    in_slice: Callable[[int], bool], forms: Mapping[str, frozenset[str]], post: ScoredPost, spans: Sequence[Span]
) -> list[Span]:
    return [span for span in spans if in_slice(len(forms.get(_surface_form(post.tokens, span), ())))]


def _surface_form(tokens: Sequence[str], span: Span) -> str:
    return " ".join(tokens[span.start : span.end]).lower()


def _to_conll_block(post: ScoredPost) -> str:
    rows = zip(post.tokens, post.gold, post.predicted, strict=True)
    lines = [f"{_COLUMN_BREAKS.sub(' ', token)}\t{gold}\t{predicted}" for token, gold, predicted in rows]
    return "\n".join([f"IMGID:{_COLUMN_BREAKS.sub(' ', post.id)}", *lines, "", ""])
