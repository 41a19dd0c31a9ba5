"""The page in a real browser: nothing sticks out, nothing complains, and everything works from the keyboard."""

from collections.abc import Iterator

import pytest

from amia.report.page import render
from tests.helpers.browser import CHROMIUM, DRIVER, Browser, browser
from tests.helpers.report_contents import bare, whole

pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="no Chromium with its driver here")

TAB, ENTER, SPACE = "\ue004", "\ue007", " "


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of three pages."""
    folder = tmp_path_factory.mktemp("pages")
    contents = {"hostile": whole(), "plain": whole("adaptive", posts=40), "bare": bare()}
    for name, content in contents.items():
        (folder / f"{name}.html").write_text(render(content), encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in contents}


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture
def sorted_page(tab: Browser, pages: dict[str, str]) -> Browser:
    tab.see(1024)
    tab.open(pages["plain"])
    return tab


def order(tab: Browser, name: str) -> list[float]:
    script = "return [...document.querySelectorAll('.posts .post')].map(post => post.dataset[arguments[0]])"
    figures = [value for value in tab.run(script, name) if value is not None]
    assert figures.count("") == 1
    assert figures[-1] == ""  # a post without the figure comes last
    return [float(each) for each in figures[:-1]]


def focused(tab: Browser) -> str:
    return str(tab.run("return document.activeElement.textContent.trim()"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1024, 1600])
@pytest.mark.parametrize("name", ["hostile", "plain", "bare"])
def test_nothing_sticks_out_and_nothing_complains(
    tab: Browser, pages: dict[str, str], name: str, width: int, dark: bool
) -> None:
    tab.see(width, dark=dark)
    tab.open(pages[name])
    tab.run("for (const each of document.querySelectorAll('details')) each.open = true")
    assert tab.run("return innerWidth") == width
    assert tab.run("return document.scrollingElement.scrollWidth") <= width
    assert tab.complaints() == []
    assert (
        tab.run("return performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length") == 0
    )
    channels = tab.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(channels) < 60) == dark


def test_the_policy_keeps_the_network_out(tab: Browser, pages: dict[str, str]) -> None:
    tab.open(pages["plain"])
    tab.run("const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image)")
    tab.run(
        "const script = document.createElement('script'); script.text = 'window.ran = 1'; document.body.append(script)"
    )
    assert tab.run("return window.ran") is None
    assert len([said for said in tab.complaints() if "Content Security Policy" in said]) == 2


def test_every_picture_can_be_decoded(sorted_page: Browser) -> None:
    widths = sorted_page.run(
        "const images = [...document.images]; for (const each of images) each.loading = 'eager';"
        "await Promise.all(images.map(each => each.decode())); return images.map(each => each.naturalWidth)"
    )
    assert len(widths) > 100
    assert set(widths) == {16}


def test_posts_are_sorted_from_the_keyboard(sorted_page: Browser) -> None:
    tab = sorted_page
    rising = order(tab, "theta")
    assert rising == sorted(rising)
    assert len(rising) == 40
    tab.run("document.querySelector('[data-sort=loss]').focus()")
    for key, name, falling in ((ENTER, "loss", False), (SPACE, "loss", True)):
        tab.press(key)
        figures = order(tab, name)
        assert figures == sorted(figures, reverse=falling)
        pressed = "return [...document.querySelectorAll('[aria-pressed=true]')].map(each => each.dataset.sort)"
        assert tab.run(pressed) == ["loss"]
        assert tab.run("return document.querySelector('[role=status]').textContent") == (
            f"sorted by loss, {'highest' if falling else 'lowest'} first"
        )
        assert tab.run("return document.querySelectorAll('.band').length") == 0
        assert tab.run("return document.querySelector('.jump').hidden")  # no link leads nowhere
    tab.press(TAB)
    assert focused(tab) == "cosine"
    tab.press(ENTER)
    figures = order(tab, "cosine")
    assert figures == sorted(figures)
    tab.run("document.querySelector('[data-sort=theta]').focus()")
    tab.press(ENTER)
    assert order(tab, "theta") == rising
    assert tab.run("return document.querySelectorAll('.band').length") == 3
    tab.press(ENTER)
    assert order(tab, "theta") == rising[::-1]


def test_the_first_stop_skips_to_the_content(sorted_page: Browser) -> None:
    tab = sorted_page
    tab.press(TAB)
    assert focused(tab) == "Skip to the content"
    assert tab.run("return document.activeElement.getBoundingClientRect().top") >= 0
    tab.press(ENTER)
    assert tab.run("return location.hash") == "#accounting"


def test_whatever_can_be_focused_shows_it(sorted_page: Browser) -> None:
    tab = sorted_page
    seen = set()
    for _ in range(20):
        tab.press(TAB)
        kind, outline = tab.run(
            "const style = getComputedStyle(document.activeElement);"
            "return [document.activeElement.tagName, style.outlineStyle]"
        )
        seen.add(kind)
        assert outline != "none", kind
    assert {"A", "BUTTON", "DIV"} <= seen


def test_details_open_from_the_keyboard(sorted_page: Browser) -> None:
    tab = sorted_page
    tab.run("document.querySelector('#settings summary').focus()")
    assert not tab.run("return document.querySelector('#settings details').open")
    tab.press(ENTER)
    assert tab.run("return document.querySelector('#settings details').open")


def test_the_navigation_says_where_one_is(sorted_page: Browser) -> None:
    tab = sorted_page
    tab.run("document.documentElement.style.scrollBehavior = 'auto'; document.querySelector('#posts').scrollIntoView()")
    here = "document.querySelector('.nav [aria-current]')?.hash"
    tab.run(f"while ({here} !== '#posts') await new Promise(requestAnimationFrame)")  # or the driver's patience ends
    top, height = tab.run(
        "const bar = document.querySelector('.nav').getBoundingClientRect(); return [bar.top, bar.height]"
    )
    assert top == 0  # it stays
    assert tab.run("return document.querySelector('#posts').getBoundingClientRect().top") >= height


def test_on_paper_everything_is_open(sorted_page: Browser) -> None:
    tab = sorted_page
    tab.see(1024, dark=True)
    pdf = tab.devtools("Page.printToPDF")["data"]
    assert len(pdf) > 10_000
    assert tab.run("return [...document.querySelectorAll('details')].every(each => each.open)")
