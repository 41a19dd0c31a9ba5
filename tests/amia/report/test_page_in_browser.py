"""Tests of the page in a browser: layout, console messages, and keyboard navigation."""

from collections.abc import Iterator

import pytest

from amia.report.page import render_page
from tests.helpers.browser import CHROMIUM, DRIVER, Browser, browser
from tests.helpers.report_contents import full_content, minimal_content

pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="Chromium or its driver is not installed")

TAB, ENTER, SPACE = "\ue004", "\ue007", " "


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the URLs of three pages."""
    folder = tmp_path_factory.mktemp("pages")
    contents = {"hostile": full_content(), "plain": full_content("adaptive", posts=40), "minimal": minimal_content()}
    for name, content in contents.items():
        (folder / f"{name}.html").write_text(render_page(content), encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in contents}


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as session:
        yield session


@pytest.fixture
def sortable_page(tab: Browser, pages: dict[str, str]) -> Browser:
    tab.set_viewport(1024)
    tab.open(pages["plain"])
    return tab


def values_in_order(tab: Browser, name: str) -> list[float]:
    script = "return [...document.querySelectorAll('.posts .post')].map(post => post.dataset[arguments[0]])"
    values = [value for value in tab.run(script, name) if value is not None]
    assert values.count("") == 1
    assert values[-1] == ""  # posts without the value come last
    return [float(value) for value in values[:-1]]


def focused(tab: Browser) -> str:
    return str(tab.run("return document.activeElement.textContent.trim()"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1024, 1600])
@pytest.mark.parametrize("name", ["hostile", "plain", "minimal"])
def test_layout_and_console(tab: Browser, pages: dict[str, str], name: str, width: int, dark: bool) -> None:
    tab.set_viewport(width, dark=dark)
    tab.open(pages[name])
    tab.run("for (const details of document.querySelectorAll('details')) details.open = true")
    assert tab.run("return innerWidth") == width
    assert tab.run("return document.scrollingElement.scrollWidth") <= width
    assert tab.console_messages() == []
    assert (
        tab.run("return performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length") == 0
    )
    channels = tab.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(channels) < 60) == dark


def test_policy_blocks_the_network(tab: Browser, pages: dict[str, str]) -> None:
    tab.open(pages["plain"])
    tab.run("const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image)")
    tab.run(
        "const script = document.createElement('script'); script.text = 'window.ran = 1'; document.body.append(script)"
    )
    assert tab.run("return window.ran") is None
    assert len([message for message in tab.console_messages() if "Content Security Policy" in message]) == 2


def test_images_can_be_decoded(sortable_page: Browser) -> None:
    widths = sortable_page.run(
        "const images = [...document.images]; for (const image of images) image.loading = 'eager';"
        "await Promise.all(images.map(image => image.decode())); return images.map(image => image.naturalWidth)"
    )
    assert len(widths) > 100
    assert set(widths) == {16}


def test_sorting_by_keyboard(sortable_page: Browser) -> None:
    tab = sortable_page
    ascending = values_in_order(tab, "theta")
    assert ascending == sorted(ascending)
    assert len(ascending) == 40
    tab.run("document.querySelector('[data-sort=loss]').focus()")
    for key, name, descending in ((ENTER, "loss", False), (SPACE, "loss", True)):
        tab.press(key)
        values = values_in_order(tab, name)
        assert values == sorted(values, reverse=descending)
        pressed = "return [...document.querySelectorAll('[aria-pressed=true]')].map(button => button.dataset.sort)"
        assert tab.run(pressed) == ["loss"]
        assert tab.run("return document.querySelector('[role=status]').textContent") == (
            f"sorted by loss, {'highest' if descending else 'lowest'} first"
        )
        assert tab.run("return document.querySelectorAll('.group').length") == 0
        assert tab.run("return document.querySelector('.jump').hidden")  # its links would have no target
    tab.press(TAB)
    assert focused(tab) == "cosine"
    tab.press(ENTER)
    values = values_in_order(tab, "cosine")
    assert values == sorted(values)
    tab.run("document.querySelector('[data-sort=theta]').focus()")
    tab.press(ENTER)
    assert values_in_order(tab, "theta") == ascending
    assert tab.run("return document.querySelectorAll('.group').length") == 3
    tab.press(ENTER)
    assert values_in_order(tab, "theta") == ascending[::-1]


def test_skip_link(sortable_page: Browser) -> None:
    tab = sortable_page
    tab.press(TAB)
    assert focused(tab) == "Skip to the content"
    assert tab.run("return document.activeElement.getBoundingClientRect().top") >= 0
    tab.press(ENTER)
    assert tab.run("return location.hash") == "#accounting"


def test_focus_is_visible(sortable_page: Browser) -> None:
    tab = sortable_page
    tags = set()
    for _ in range(20):
        tab.press(TAB)
        tag, outline = tab.run(
            "const style = getComputedStyle(document.activeElement);"
            "return [document.activeElement.tagName, style.outlineStyle]"
        )
        tags.add(tag)
        assert outline != "none", tag
    assert {"A", "BUTTON", "DIV"} <= tags


def test_details_open_by_keyboard(sortable_page: Browser) -> None:
    tab = sortable_page
    tab.run("document.querySelector('#settings summary').focus()")
    assert not tab.run("return document.querySelector('#settings details').open")
    tab.press(ENTER)
    assert tab.run("return document.querySelector('#settings details').open")


def test_navigation_marks_the_current_section(sortable_page: Browser) -> None:
    tab = sortable_page
    tab.run("document.documentElement.style.scrollBehavior = 'auto'; document.querySelector('#posts').scrollIntoView()")
    current = "document.querySelector('.nav [aria-current]')?.hash"
    tab.run(
        f"while ({current} !== '#posts') await new Promise(requestAnimationFrame)"
    )  # the driver's timeout ends the loop
    top, height = tab.run(
        "const bar = document.querySelector('.nav').getBoundingClientRect(); return [bar.top, bar.height]"
    )
    assert top == 0  # sticky
    assert tab.run("return document.querySelector('#posts').getBoundingClientRect().top") >= height


def test_printing_opens_all_details(sortable_page: Browser) -> None:
    tab = sortable_page
    tab.set_viewport(1024, dark=True)
    pdf = tab.devtools("Page.printToPDF")["data"]
    assert len(pdf) > 10_000
    assert tab.run("return [...document.querySelectorAll('details')].every(details => details.open)")
