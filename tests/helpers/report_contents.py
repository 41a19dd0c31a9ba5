"""Contents of reports for tests: small, with all sections, and with hostile text in every field."""

import io

import numpy as np
from PIL import Image

from amia.experiments.match_shares import MatchShares
from amia.experiments.outlook import FitInfo, Outlook, make_outlook
from amia.experiments.table import Table
from amia.matching.gmm import MixtureSettings
from amia.matching.gmm_fit import fit_mixture
from amia.matching.histogram import LossHistogram
from amia.mner.spans import Span
from amia.report.attribution import Attribution
from amia.report.entity_markup import mark_entities
from amia.report.experiment_tables import ExperimentTables
from amia.report.loss_figure import LossFigure, make_loss_figure
from amia.report.view_models import (
    Accounting,
    Breakdown,
    Check,
    Disagreement,
    Disagreements,
    EntityOutcome,
    FailureExample,
    FailureGroup,
    ImageGroup,
    ImageTriple,
    PairCounts,
    ReportContent,
    StageTimes,
    ThetaHistogram,
    TrainingCurve,
)
from tests.helpers.when_maps import make_map, make_share

HOSTILE = (
    "<script>alert('x')</script>\"onerror=\"alert(1)' --> ]]> {{ 7*7 }} </style></svg> https://evil.example/?a=1&b=2"
)
"""Untrusted text of a post, an entity, a model or a setting."""


def gray_webp(value: int) -> bytes:
    """Return a small gray WebP."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(buffer, "WEBP")
    return buffer.getvalue()


def random_loss_figure(name: str = "train", posts: int = 900) -> LossFigure:
    rng = np.random.default_rng(0)
    losses = np.concatenate([rng.normal(0.4, 0.08, posts * 2 // 3), rng.normal(1.2, 0.3, posts // 3)]).clip(0, 4)
    histogram = LossHistogram(0.1)
    fit = fit_mixture(losses, MixtureSettings())
    return make_loss_figure(name, name, histogram.counts(losses), histogram, fit)


def make_triple(number: int, theta: float | None, text: str = "Blue skies over Kyoto today") -> ImageTriple:
    tokens = text.split()
    return ImageTriple(
        id=f"post-{number}-{HOSTILE}",
        split="train",
        pieces=mark_entities(tokens, [Span(len(tokens) - 2, len(tokens) - 1, "LOC")] if len(tokens) > 1 else []),
        original=None if theta is None else gray_webp(40 + number),
        synthesized=gray_webp(90 + number),
        augmented=gray_webp(140 + number),
        theta=theta,
        ratio=theta,
        loss=None if theta is None else 1.5 - theta,
        cosine=None if theta is None else ((number * 7) % 10) / 10,
        notes=("lowest theta",) if number == 0 else (),
    )


def make_accounting(name: str) -> Accounting:
    return Accounting(
        posts=1200,
        usable=1100,
        augmented=1190,
        breakdowns=[
            Breakdown(title="Split", parts={"train": 900, name: 300}),
            Breakdown(title="Image", parts={"with a usable image": 1100, name: 100}),
        ],
        checks=[
            Check(description="posts in the plan = rows of the arm", expected=1200, actual=1200),
            Check(description=f"statuses of {name}", expected=1200, actual=1199),
        ],
        rejected=3,
        labeled=1200,
        models=[Attribution(role="Generator", name=name, weights=f"{name}@0123")],
    )


def full_content(name: str = HOSTILE, posts: int = 12) -> ReportContent:
    """Return content with all sections, and with `name` wherever the page shows untrusted text."""
    thetas = [number / (posts - 1) for number in range(posts)]
    pieces = mark_entities([*name.split(), "and", "Kyoto"], [Span(0, 2, "PER"), Span(2, 3, name.split()[0])])
    triples = [make_triple(index, theta) for index, theta in enumerate(thetas)]
    return ReportContent(
        run=f"/runs/{name}",
        arm=name,
        notices=[f"Made with {name}"],
        accounting=make_accounting(name),
        losses=[random_loss_figure(), random_loss_figure(name)],
        thetas=[ThetaHistogram(split=split, counts=[10] * 19 + [110], matched=200) for split in ("train", name)],
        thetas_synthesized=[ThetaHistogram(split=name, counts=[5] * 19 + [5], matched=50)],
        outlook=some_outlook(name),
        map=make_map(),
        groups=[
            ImageGroup(title="θ 0.0 – 0.5", posts=700, triples=[triple for triple in triples if triple.theta < 0.5]),
            ImageGroup(title="θ 0.5 – 1.0", posts=400, triples=[triple for triple in triples if triple.theta >= 0.5]),
            ImageGroup(title=name, posts=100, triples=[make_triple(99, None, name)]),
            ImageGroup(title="empty", posts=0, triples=[]),
        ],
        preview=triples,
        failures=[
            FailureGroup(
                reason=f"posts that {name}",
                count=7,
                examples=[FailureExample(location=name, id=name, text=name, image=gray_webp(200))],
            )
        ],
        stages=[
            StageTimes(
                stage=name,
                posts=1200,
                shards=20,
                load_s=1.5,
                run_s=10.0,
                publish_s=0.5,
                wall_s=5.0,
                actors=2,
                hosts=1,
                gpus=0,
            )
        ],
        experiments=[
            ExperimentTables(
                name=name,
                notice=name,
                tables=[
                    Table(
                        name=f"t{number}",
                        title=name,
                        head=["method", name, "F1", "minus"],
                        over=["", name, name, "other"],
                        rows=[[name, "74.1", "73.2", "+0.1"], ["umt", "–", "–", "–"]],
                        intervals=[[None, None, None, (0.1, -0.4, 0.5)], [None] * 4],
                        notes=[f"{name} {number}", "shared note"],
                    )
                    for number in range(2)
                ],
                map=make_map(),
            )
        ],
        curves=[
            TrainingCurve(name=f"{system}-{arm}-{seed}", system=system, arm=arm, seed=seed, f1=f1)
            for system in ("umt", name)
            for arm, seed, f1 in (
                ("original", 0, [0.4, 0.61, 0.6]),
                ("original", 1, [0.35, 0.6]),
                ("adaptive", 0, [0.5, 0.6, 0.65]),
                (name, 0, [0.0]),
            )
        ]
        + [
            TrainingCurve(name=f"maf-{arm}", system="maf", arm=arm, seed=0, f1=[0.5, 0.6 + index / 50])
            for index, arm in enumerate(("text", "original", "cosine", "adaptive", name))
        ],
        disagreements=Disagreements(
            arm=name,
            pairs=[PairCounts(recognizer=name, posts=180, better=4, worse=6, both_wrong=1)],
            examples=[
                Disagreement(
                    id=name,
                    recognizer=name,
                    kind=kind,
                    pieces=pieces,
                    original=None,
                    augmented=gray_webp(50),
                    theta=0.25,
                    original_entities=[
                        EntityOutcome(text=name, type=name, outcome="wrong"),
                        EntityOutcome(text="a", type="PER", outcome="missed"),
                    ],
                    augmented_entities=[],
                )
                for kind in ("better", "worse")
            ],
        ),
        settings={name: name},
        versions={name: name},
        identity=name,
    )


def some_outlook(split: str, total: int = 1000) -> Outlook:
    """Return the outlook of a corpus with 35 % mismatched images and 90 % known names on an invented map."""
    shares = MatchShares(original=make_share(0.635, total), synthesized=make_share(0.82, total))
    fit = FitInfo(images=total, min_images=200)
    return make_outlook(make_map(), {"train": shares, split: shares}, shares, fit, "amia augment")


def minimal_content() -> ReportContent:
    """Return content without optional sections."""
    return ReportContent(run="/runs/minimal", arm="text", notices=(), accounting=make_accounting("none"))
