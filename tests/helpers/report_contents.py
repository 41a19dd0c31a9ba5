"""A report's content made by hand: small and whole, with every text as hostile as it can be."""

import io

import numpy as np
from PIL import Image

from amia.matching.gmm import MixtureSettings
from amia.matching.gmm_fit import fit_mixture
from amia.matching.histogram import LossHistogram
from amia.mner.spans import Span
from amia.report.attribution import Attribution
from amia.report.entity_markup import mark_entities
from amia.report.experiment_tables import Experiment, Table
from amia.report.loss_figure import LossFigure, loss_figure
from amia.report.view_models import (
    Accounting,
    Answer,
    Breakdown,
    Check,
    Disagreement,
    Disagreements,
    Example,
    Failure,
    ImageGroup,
    ImageTriple,
    Pairing,
    ReportContent,
    SplitThetas,
    StageTimes,
    TrainedCurve,
)

HOSTILE = (
    "<script>alert('x')</script>\"onerror=\"alert(1)' --> ]]> {{ 7*7 }} </style></svg> https://evil.example/?a=1&b=2"
)
"""What a stranger may call a post, an entity, a model or a setting."""


def picture(shade: int) -> bytes:
    """A small gray WebP."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), shade, np.uint8)).save(buffer, "WEBP")
    return buffer.getvalue()


def figure(name: str = "train", posts: int = 900) -> LossFigure:
    rng = np.random.default_rng(0)
    losses = np.concatenate([rng.normal(0.4, 0.08, posts * 2 // 3), rng.normal(1.2, 0.3, posts // 3)]).clip(0, 4)
    histogram = LossHistogram(0.1)
    fit = fit_mixture(losses, MixtureSettings())
    return loss_figure(name, name, histogram.counts(losses), histogram, fit)


def triple(number: int, theta: float | None, text: str = "Blue skies over Kyoto today") -> ImageTriple:
    tokens = text.split()
    return ImageTriple(
        id=f"post-{number}-{HOSTILE}",
        split="train",
        pieces=mark_entities(tokens, [Span(len(tokens) - 2, len(tokens) - 1, "LOC")] if len(tokens) > 1 else []),
        original=None if theta is None else picture(40 + number),
        synthesized=picture(90 + number),
        augmented=picture(140 + number),
        theta=theta,
        ratio=theta,
        loss=None if theta is None else 1.5 - theta,
        cosine=None if theta is None else ((number * 7) % 10) / 10,
        notes=("lowest theta",) if number == 0 else (),
    )


def accounting(name: str) -> Accounting:
    return Accounting(
        posts=1200,
        usable=1100,
        pictured=1190,
        breakdowns=[
            Breakdown(title="Split", parts={"train": 900, name: 300}),
            Breakdown(title="Image", parts={"with a usable image": 1100, name: 100}),
        ],
        checks=[
            Check(what="posts in, and out", left=1200, right=1200),
            Check(what=f"statuses of {name}", left=1200, right=1199),
        ],
        rejected=3,
        labeled=1200,
        models=[Attribution(role="Generator", name=name, weights=f"{name}@0123")],
    )


def whole(name: str = HOSTILE, posts: int = 12) -> ReportContent:
    """Every section, with `name` wherever a stranger's text can stand."""
    thetas = [number / (posts - 1) for number in range(posts)]
    kinds = [mark_entities([*name.split(), "and", "Kyoto"], [Span(0, 2, "PER"), Span(2, 3, name.split()[0])])]
    return ReportContent(
        run=f"/runs/{name}",
        arm=name,
        notices=[f"Made with {name}"],
        accounting=accounting(name),
        losses=[figure(), figure(name)],
        thetas=[SplitThetas(split=each, posts=[10] * 19 + [110], matched=200) for each in ("train", name)],
        groups=[
            ImageGroup(title="θ 0.0 – 0.5", posts=700, triples=[triple(n, t) for n, t in enumerate(thetas) if t < 0.5]),
            ImageGroup(
                title="θ 0.5 – 1.0", posts=400, triples=[triple(n, t) for n, t in enumerate(thetas) if t >= 0.5]
            ),
            ImageGroup(title=name, posts=100, triples=[triple(99, None, name)]),
            ImageGroup(title="nobody", posts=0, triples=[]),
        ],
        strip=[triple(n, t) for n, t in enumerate(thetas)],
        failures=[
            Failure(
                reason=f"posts that {name}",
                count=7,
                examples=[Example(where=name, id=name, text=name, picture=picture(200))],
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
            Experiment(
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
                        notes=[f"{name} {number}", "of both"],
                    )
                    for number in range(2)
                ],
            )
        ],
        curves=[
            TrainedCurve(name=f"{system}-{arm}-{seed}", system=system, arm=arm, seed=seed, f1=f1)
            for system in ("umt", name)
            for arm, seed, f1 in (
                ("original", 0, [0.4, 0.61, 0.6]),
                ("original", 1, [0.35, 0.6]),
                ("adaptive", 0, [0.5, 0.6, 0.65]),
                (name, 0, [0.0]),
            )
        ]
        + [
            TrainedCurve(name=f"maf-{arm}", system="maf", arm=arm, seed=0, f1=[0.5, 0.6 + place / 50])
            for place, arm in enumerate(("text", "original", "cosine", "adaptive", name))
        ],
        disagreements=Disagreements(
            arm=name,
            pairings=[Pairing(recognizer=name, posts=180, better=4, worse=6, both_wrong=1)],
            examples=[
                Disagreement(
                    id=name,
                    recognizer=name,
                    kind=kind,
                    pieces=pieces,
                    original=None,
                    augmented=picture(50),
                    theta=0.25,
                    of_original=[
                        Answer(text=name, type=name, verdict="wrong"),
                        Answer(text="a", type="PER", verdict="missed"),
                    ],
                    of_augmented=[],
                )
                for pieces in kinds
                for kind in ("better", "worse")
            ],
        ),
        settings={name: name},
        versions={name: name},
        identity=name,
    )


def bare() -> ReportContent:
    """A run that has next to nothing to show."""
    return ReportContent(run="/runs/bare", arm="text", notices=(), accounting=accounting("none"))
