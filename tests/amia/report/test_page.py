"""The page: well formed, self-contained, and deaf to whatever strangers have written into their posts."""

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from amia.report.entity_markup import plain
from amia.report.page import SECTIONS, render, sections_of
from amia.report.view_models import Answer, Example, Failure
from tests.helpers.paths import ROOT
from tests.helpers.report_contents import HOSTILE, bare, whole

STYLE = (ROOT / "amia/report/templates/page.css").read_text(encoding="utf-8")
VOID = {"meta", "link", "img", "br"}
DRAWN = {"line", "rect", "polyline", "circle"}
"""Elements of SVG that close themselves."""
LOADING = {"src", "srcset", "href", "action", "formaction", "poster", "data", "background", "xlink:href"}


class Walk(HTMLParser):
    """Every element with its attributes and text; an element that is not closed in its turn is an error."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[tuple[str, str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> says {names} twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in DRAWN
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append((self.open[-1] if self.open else "", data))

    def values(self, name: str) -> list[str]:
        return [value or "" for _, attributes in self.elements for key, value in attributes.items() if key == name]

    def text(self, *tags: str) -> str:
        return "".join(data for tag, data in self.said if not tags or tag in tags)


@pytest.fixture(scope="module")
def page() -> str:
    return render(whole())


@pytest.fixture(scope="module")
def walk(page: str) -> Walk:
    return Walk(page)


@pytest.mark.parametrize("content", [whole(), whole("plain"), bare()], ids=["hostile", "plain", "bare"])
def test_every_element_is_closed_in_its_turn(content: object) -> None:
    walk = Walk(render(content))  # type: ignore[arg-type]  # as the parametrization hands it on
    assert walk.open == []
    assert Counter(tag for tag, _ in walk.elements)["main"] == 1


def test_ids_are_unique_and_whatever_refers_to_one_finds_it(walk: Walk) -> None:
    ids = walk.values("id")
    assert len(ids) == len(set(ids)) > 15
    referred = {
        each for name in ("aria-labeledby", "aria-describedby") for value in walk.values(name) for each in value.split()
    }
    anchors = {href[1:] for href in walk.values("href") if href.startswith("#")}
    assert referred | anchors <= set(ids)
    assert len(anchors) == len(SECTIONS) + 3  # and the groups of posts


@pytest.mark.promise(37)
def test_nothing_is_loaded_from_anywhere(walk: Walk) -> None:
    loaded = [value for name in LOADING for value in walk.values(name)]
    assert all(value.startswith(("#", "data:image/")) for value in loaded)
    assert not {tag for tag, _ in walk.elements} & {"iframe", "object", "embed", "form", "base", "audio", "video"}
    styles = walk.text("style")
    assert "url(" not in styles
    assert "@import" not in styles


@pytest.mark.promise(37)
def test_no_script_runs_but_the_page_s_own(page: str, walk: Walk) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    (own,) = scripts
    assert page.count("<script") == 1
    assert not [
        name for _, attributes in walk.elements for name in attributes if name.startswith("on") or name == "style"
    ]
    assert not [value for value in walk.values("href") if value.startswith("javascript:")]
    (policy,) = [value for value in walk.values("content") if value.startswith("default-src")]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    for rule, text in (("script-src", own), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


@pytest.mark.promise(37)
def test_hostile_texts_are_text(page: str, walk: Walk) -> None:
    assert HOSTILE not in page
    assert "alert('x')" not in page
    said = walk.text()
    # Whole where it is shown whole; ids are cut.
    assert said.count(HOSTILE) > 20
    assert walk.text("th").count(HOSTILE) >= 5
    assert walk.text("title", "desc").count(HOSTILE) >= 3
    assert any(HOSTILE[:40] in value for value in walk.values("aria-label"))


def test_pictures_say_what_they_are_and_come_when_they_are_seen(walk: Walk) -> None:
    images = [attributes for tag, attributes in walk.elements if tag == "img"]
    assert len(images) > 30
    assert all(
        each["alt"] and each["loading"] == "lazy" and each["width"] == each["height"] == "160" for each in images
    )
    assert "none" in walk.text("span")  # where there is none


def test_sections_stand_in_their_order_and_only_where_they_have_something() -> None:
    for content, names in ((whole(), list(SECTIONS)), (bare(), ["accounting", "settings"])):
        walk = Walk(render(content))
        shown = [attributes["id"] for tag, attributes in walk.elements if tag == "section"]
        assert shown == sections_of(content) == names
        assert [href[1:] for href in walk.values("href") if href.startswith("#")][1 : len(names) + 1] == names


def test_entities_are_marked_with_their_type_in_words(walk: Walk) -> None:
    marks = [attributes for tag, attributes in walk.elements if tag == "mark"]
    assert Counter(each["class"] for each in marks).keys() == {"ent ent-per", "ent ent-loc", "ent ent-other"}
    assert {"PER", "LOC"} <= {data for tag, data in walk.said if tag == "small"}


def test_sums_that_do_not_hold_are_said(walk: Walk) -> None:
    assert walk.values("class").count("holds") == 1
    assert walk.values("class").count("fails") == 1
    assert "This should not be: report it as a bug" in walk.text()


def test_posts_can_be_sorted_by_their_figures(walk: Walk) -> None:
    for name in ("theta", "loss", "cosine"):
        figures = walk.values(f"data-{name}")
        assert len(figures) == 13
        assert figures.count("") == 1  # the post without an image
        assert all(0 <= float(each) <= 2 for each in figures if each)


def test_the_same_content_gives_the_same_page(page: str) -> None:
    assert render(whole()) == page


def test_a_post_as_long_as_a_book_does_not_make_the_page_one() -> None:
    content = whole("plain")
    book = "word " * 100_000
    triples = [replace(triple, id=book, pieces=plain(book)) for triple in content.groups[0].triples]
    answers = [Answer(text=book, type=book, verdict="wrong")]
    examples = [replace(content.disagreements.examples[0], id=book, pieces=plain(book), of_original=answers)]
    long = replace(
        content,
        groups=[replace(content.groups[0], triples=triples)],
        failures=[Failure(reason=book, count=1, examples=[Example(where=book, id=book, text=book)])],
        disagreements=replace(content.disagreements, examples=examples),
    )
    assert len(render(long)) < 1.2 * len(render(content))


def luminance(color: str) -> float:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mixed(color: str, paper: str, share: float) -> str:
    pairs = [(int(color[at : at + 2], 16), int(paper[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(share * one + (1 - share) * other):02x}" for one, other in pairs)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colors_can_be_read(scheme: str) -> None:
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part))
        for part in STYLE.split("@media screen and (prefers-color-scheme", 1)
    )
    colors = light if scheme == "light" else {**light, **dark}
    paper, panel = colors["paper"], colors["panel"]
    for name in ("ink", "soft", "accent", "match", "mismatch", "misc"):
        assert contrast(colors[name], paper) >= 4.5, name
    assert min(contrast(colors[name], panel) for name in ("ink", "soft")) >= 4.5
    for name in ("per", "loc", "org", "misc", "other"):
        behind = mixed(colors[name], paper, 0.13)
        assert min(contrast(colors[name], behind), contrast(colors["ink"], behind)) >= 4.5, name
    for name in (each for each in colors if each.startswith("arm-")):
        assert contrast(colors[name], paper) >= 3, name  # lines
