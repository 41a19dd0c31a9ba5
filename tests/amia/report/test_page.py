"""Tests of the HTML page: well-formed, self-contained, and safe for untrusted text."""

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from amia.report.entity_markup import plain_text
from amia.report.page import SECTIONS, render_page, section_names
from amia.report.view_models import EntityOutcome, FailureExample, FailureGroup
from tests.helpers.paths import ROOT
from tests.helpers.report_contents import HOSTILE, full_content, minimal_content, some_outlook

STYLE = (ROOT / "amia/report/templates/page.css").read_text(encoding="utf-8")
VOID = {"meta", "link", "img", "br"}
SELF_CLOSING = {"line", "rect", "polyline", "circle"}
"""SVG elements without an end tag."""
URL_ATTRIBUTES = {"src", "srcset", "href", "action", "formaction", "poster", "data", "background", "xlink:href"}


class ParsedPage(HTMLParser):
    """All elements with their attributes and text. Raises AssertionError if elements are not properly nested."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has duplicate attributes: {names}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SELF_CLOSING
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def values(self, name: str) -> list[str]:
        return [value or "" for _, attributes in self.elements for key, value in attributes.items() if key == name]

    def text(self, *tags: str) -> str:
        return "".join(data for tag, data in self.texts if not tags or tag in tags)


@pytest.fixture(scope="module")
def page() -> str:
    return render_page(full_content())


@pytest.fixture(scope="module")
def parsed(page: str) -> ParsedPage:
    return ParsedPage(page)


@pytest.mark.parametrize(
    "content", [full_content(), full_content("plain"), minimal_content()], ids=["hostile", "plain", "minimal"]
)
def test_elements_are_properly_nested(content: object) -> None:
    parsed = ParsedPage(render_page(content))  # type: ignore[arg-type]
    assert parsed.open == []
    assert Counter(tag for tag, _ in parsed.elements)["main"] == 1


def test_ids_are_unique_and_references_resolve(parsed: ParsedPage) -> None:
    ids = parsed.values("id")
    assert len(ids) == len(set(ids)) > 15
    referenced = {
        reference
        for name in ("aria-labelledby", "aria-describedby")
        for value in parsed.values(name)
        for reference in value.split()
    }
    assert len(referenced) > 15
    anchors = {href[1:] for href in parsed.values("href") if href.startswith("#")}
    assert referenced | anchors <= set(ids)
    assert len(anchors) == len(SECTIONS) + 3  # groups of posts


@pytest.mark.promise(37)
def test_loads_no_external_resources(parsed: ParsedPage) -> None:
    urls = [value for name in URL_ATTRIBUTES for value in parsed.values(name)]
    assert all(value.startswith(("#", "data:image/")) for value in urls)
    assert not {tag for tag, _ in parsed.elements} & {"iframe", "object", "embed", "form", "base", "audio", "video"}
    styles = parsed.text("style")
    assert "url(" not in styles
    assert "@import" not in styles


@pytest.mark.promise(37)
def test_policy_allows_only_the_own_script(page: str, parsed: ParsedPage) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    (script,) = scripts
    assert page.count("<script") == 1
    assert not [
        name for _, attributes in parsed.elements for name in attributes if name.startswith("on") or name == "style"
    ]
    assert not [value for value in parsed.values("href") if value.startswith("javascript:")]
    (policy,) = [value for value in parsed.values("content") if value.startswith("default-src")]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    for rule, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


@pytest.mark.promise(37)
def test_untrusted_text_is_escaped(page: str, parsed: ParsedPage) -> None:
    assert HOSTILE not in page
    assert "alert('x')" not in page
    assert parsed.text().count(HOSTILE) > 20  # ids are truncated
    assert parsed.text("th").count(HOSTILE) >= 5
    assert parsed.text("title", "desc").count(HOSTILE) >= 3
    assert any(HOSTILE[:40] in value for value in parsed.values("aria-label"))


def test_images_have_alt_text_and_load_lazily(parsed: ParsedPage) -> None:
    images = [attributes for tag, attributes in parsed.elements if tag == "img"]
    assert len(images) > 30
    assert all(
        image["alt"] and image["loading"] == "lazy" and image["width"] == image["height"] == "160" for image in images
    )
    assert "none" in parsed.text("span")  # placeholder of a missing image


def test_order_of_sections_and_no_empty_ones() -> None:
    for content, names in ((full_content(), list(SECTIONS)), (minimal_content(), ["accounting", "settings"])):
        parsed = ParsedPage(render_page(content))
        sections = [attributes["id"] for tag, attributes in parsed.elements if tag == "section"]
        assert sections == section_names(content) == names
        assert [href[1:] for href in parsed.values("href") if href.startswith("#")][1 : len(names) + 1] == names


def test_outlook_shows_shares_gains_and_cautions() -> None:
    content = full_content()
    text = " ".join(ParsedPage(render_page(content)).text("p", "td", "th", "span").split())
    assert content.outlook is not None
    assert content.outlook.summary in text
    assert content.outlook.cautions[0] in text
    assert "one with 35 % mismatched images, and with 90 % of its rare names known" in text
    assert "+5.0 [+2.8, +7.2]" in text
    few = ParsedPage(render_page(replace(content, outlook=some_outlook("test", total=15)))).text("p")
    assert "Cannot tell (too few posts): 15 images" in few
    assert "mismatched images, and with" not in few


def test_entities_are_marked_with_their_type(parsed: ParsedPage) -> None:
    marks = [attributes for tag, attributes in parsed.elements if tag == "mark"]
    assert {mark["class"] for mark in marks} == {"ent ent-per", "ent ent-loc", "ent ent-other"}
    assert {"PER", "LOC"} <= {data for tag, data in parsed.texts if tag == "small"}


def test_failed_checks_are_reported(parsed: ParsedPage) -> None:
    assert parsed.values("class").count("passed") == 1
    assert parsed.values("class").count("failed") == 1
    assert "Please report this as a bug" in parsed.text()


def test_posts_have_values_to_sort_by(parsed: ParsedPage) -> None:
    for name in ("theta", "loss", "cosine"):
        values = parsed.values(f"data-{name}")
        assert len(values) == 13
        assert values.count("") == 1  # the post without an image
        assert all(0 <= float(value) <= 2 for value in values if value)


def test_is_deterministic(page: str) -> None:
    assert render_page(full_content()) == page


def test_long_texts_do_not_enlarge_the_page() -> None:
    content = full_content("plain")
    long_text = "word " * 100_000
    triples = [replace(triple, id=long_text, pieces=plain_text(long_text)) for triple in content.groups[0].triples]
    entities = [EntityOutcome(text=long_text, type=long_text, outcome="wrong")]
    examples = [
        replace(
            content.disagreements.examples[0], id=long_text, pieces=plain_text(long_text), original_entities=entities
        )
    ]
    long_content = replace(
        content,
        groups=[replace(content.groups[0], triples=triples)],
        failures=[
            FailureGroup(
                reason=long_text, count=1, examples=[FailureExample(location=long_text, id=long_text, text=long_text)]
            )
        ],
        disagreements=replace(content.disagreements, examples=examples),
    )
    assert len(render_page(long_content)) < 1.2 * len(render_page(content))


def luminance(color: str) -> float:
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of WCAG."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mix(color: str, paper: str, alpha: float) -> str:
    channels = [(int(color[start : start + 2], 16), int(paper[start : start + 2], 16)) for start in (1, 3, 5)]
    return "#" + "".join(f"{round(alpha * front + (1 - alpha) * back):02x}" for front, back in channels)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_colors(scheme: str) -> None:
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part))
        for part in STYLE.split("@media screen and (prefers-color-scheme", 1)
    )
    colors = light if scheme == "light" else {**light, **dark}
    paper, panel = colors["paper"], colors["panel"]
    for name in ("ink", "muted", "accent", "match", "mismatch", "misc"):
        assert contrast(colors[name], paper) >= 4.5, name
    assert min(contrast(colors[name], panel) for name in ("ink", "muted")) >= 4.5
    for name in ("per", "loc", "org", "misc", "other"):
        background = mix(colors[name], paper, 0.13)
        assert min(contrast(colors[name], background), contrast(colors["ink"], background)) >= 4.5, name
    for name in (color for color in colors if color.startswith("arm-")):
        assert contrast(colors[name], paper) >= 3, name  # lines
