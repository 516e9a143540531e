"""The report in Chromium: sorting, filtering, chips, printing, and loading itself again as the reader left it."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.loading import load
from analysis.plots.registry import PLOTS
from analysis.reports import About, report

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright: it drives the browser")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser on PATH: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from study_in_memory import Study

    study = Study(name="<script>alert(1)</script>", axes=["dataset", "synthesis.ratio"])
    for dataset, level in (("glyphs", 0.3), ("cub", 0.5)):
        base = study.add("base", [level, level + 0.02, level + 0.01], dataset=dataset)
        for ratio in (0.5, 1.0, 10.0):
            values = [level + ratio / 100, level + ratio / 100 + 0.03, None if ratio == 1.0 else level + ratio / 90]
            cell = study.add("base + PS", values, baseline=base, dataset=dataset, synthesis__ratio=ratio)
            study.curve(cell, [[0.1 * n for n in range(30)]] * 3)
    study.add("only here", [0.9, 0.8, 0.7], dataset="glyphs")
    return study.write(tmp_path / "results")


@pytest.fixture
def write(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("analysis.reports.pictures.PLOTS", {"bars": PLOTS["bars"]})

    def write(reload: int | None = None) -> str:
        file = tmp_path / "page.html"
        file.write_text(report(load(folder), about=About(reload=reload)), encoding="utf-8")
        return file.as_uri()

    return write


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that fails the test when it complains, asks for anything, or opens a dialog."""
    opened = browser.new_page(viewport={"width": 1280, "height": 700})
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("dialog", lambda dialog: complaints.append(dialog.message))
    opened.on("request", lambda sent: sent.url.startswith(("file:", "data:")) or complaints.append(sent.url))
    yield opened
    opened.close()
    assert complaints == []


def column(page: Any, index: int) -> list[str]:
    """What stands in a column of the rows that are seen, top down."""
    cells = f"#table tbody tr:not(.out) > :nth-child({index + 1})"
    return [text.strip() for text in page.locator(cells).all_text_contents()]


def test_headers_sort_by_value_with_mouse_and_keys(page: Any, write: Any) -> None:
    page.goto(write())
    before = column(page, 1)
    assert before == ["", "0.5", "1.0", "10.0", ""]
    header = page.locator("#table thead tr:last-child > *").nth(1)
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending" and column(page, 1) == ["0.5", "1.0", "10.0", "", ""]
    header.locator("button").focus()
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "descending" and column(page, 1) == ["10.0", "1.0", "0.5", "", ""]
    page.keyboard.press("Space")
    assert header.get_attribute("aria-sort") == "none" and column(page, 1) == before
    numbers = page.locator("#table thead tr:last-child > *").nth(3)
    numbers.locator("button").click()
    values = [float(text.split()[0]) for text in column(page, 3)]
    assert numbers.get_attribute("aria-sort") == "descending" and values == sorted(values, reverse=True)


def test_words_filter_rows_and_curves_and_chips_columns(page: Any, write: Any) -> None:
    page.goto(write())
    page.fill("#filter", "ps, ratio 0.5")
    assert column(page, 1) == ["0.5"] and page.locator("#matches").text_content() == "1 of 5 rows"
    assert page.locator(".card:visible").count() == 2
    page.get_by_role("button", name="cub", exact=True).click()
    assert page.locator(".card:visible").count() == 1
    assert page.locator("#table thead tr:first-child th:visible").all_text_contents() == ["glyphs"]
    shown = page.locator("#table thead tr:last-child th:visible").count()
    assert page.locator("#table tbody tr:visible > :visible").count() == shown
    page.get_by_role("button", name="MAP@R (%)", exact=True).click()
    assert page.locator("#table thead tr:last-child th:visible").count() == shown - 1
    page.fill("#filter", "")
    page.get_by_role("button", name="cub", exact=True).click()
    assert len(column(page, 1)) == 5 and page.locator(".card:visible").count() == 9


def wait_for_load(page: Any, *, after: float) -> None:
    """Asks from outside: the page's own policy forbids what playwright would have it evaluate again and again."""
    for _ in range(100):
        page.wait_for_timeout(100)
        origin, state = page.evaluate("[performance.timeOrigin, document.readyState]")
        if origin > after and state == "complete":
            return
    pytest.fail("the page did not load itself again")


def test_it_loads_itself_again_as_it_was_left(page: Any, write: Any) -> None:
    address = write(reload=1)
    page.goto(address)
    page.locator("#table thead tr:last-child button").nth(1).click()
    page.get_by_role("button", name="cub", exact=True).click()
    page.locator("#impossible, details[data-fold^=rules] summary").first.click()
    page.fill("#filter", "base")
    page.evaluate("scrollTo(0, document.getElementById('curves').offsetTop + 50)")
    before = page.evaluate("[scrollY, performance.timeOrigin]")
    write(reload=1)
    wait_for_load(page, after=before[1])
    assert abs(page.evaluate("scrollY") - before[0]) <= 2
    assert page.input_value("#filter") == "base" and column(page, 1) == ["0.5", "1.0", "10.0", ""]
    assert page.evaluate("document.activeElement.id") == "filter"
    assert page.get_by_role("button", name="cub", exact=True).get_attribute("aria-pressed") == "false"
    assert page.locator("details[data-fold^=rules]").first.get_attribute("open") is not None
    page.get_by_role("button", name="pause").click()
    still = page.evaluate("performance.timeOrigin")
    page.wait_for_timeout(1500)
    assert page.evaluate("performance.timeOrigin") == still
    write()  # the last one
    page.reload()
    page.wait_for_timeout(1500)
    assert page.input_value("#filter") == "base" and not page.locator("#pause").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_window(page: Any, write: Any, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    page.goto(write(reload=3600))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 28)"
    assert dark == (scheme == "dark")


def test_paper_shows_everything_without_controls(page: Any, write: Any) -> None:
    page.goto(write())
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator("#controls").is_visible() and not page.locator("nav").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > 0
    assert page.pdf().startswith(b"%PDF")


def test_without_scripts_everything_can_be_read(browser: Any, write: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(write())
    assert page.locator("#table tbody tr").count() == 5 and page.locator(".card svg").first.is_visible()
    assert not page.locator("#controls").is_visible() and page.locator("#table th button").count() == 0
    context.close()
