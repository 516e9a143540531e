"""The report as a page: what a parser finds in it, whatever the study and its names are."""

import re
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from study_in_memory import Study, merged

import analysis
from analysis.plots.registry import PLOTS
from analysis.reports import About, Names, StudyState, early_page
from analysis.reports.markup import plain

NASTY = ["<script>alert(1)</script>", "</script>", "]]>", "naïve 中文 😀 β→∞", "$x_1$ \\alpha{} & % #", "\"q\" 'p'"]
VOID = {"meta", "img", "input"}
FETCHING = {"src", "href", "srcset", "action", "data", "poster", "background"}


class Page(HTMLParser):
    """Elements with their attributes, and the text of each section; every element has to be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.open: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.elements.append((tag, known))
        if tag not in VOID:
            self.open.append((tag, known.get("id")))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for tag, name in self.open:
            if tag == "section" and name:
                self.texts[name] = self.texts.get(name, "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(autouse=True)
def few_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind has tests of its own."""
    monkeypatch.setattr("analysis.reports.pictures.PLOTS", {name: PLOTS[name] for name in ("bars", "sensitivity")})


def small() -> Study:
    study = Study(axes=["dataset", "synthesis.ratio"])
    base = study.add("base", [0.5, 0.6, 0.55])
    study.add("base + PS", [0.7, 0.8, 0.78], baseline=base, synthesis__ratio=0.5, settings={"selected_epoch": 2})
    study.add("base + PS", [0.6, None, 0.66], baseline=base, synthesis__ratio=1.0)
    study.curve(1, [[0.1, 0.4, 0.3]] * 3)
    study.curve(1, [[3.0, 2.0, 1.0]] * 3, metric="train_loss")
    study.claim("base + PS", "base")
    return study


@cache
def small_page() -> Page:
    return Page(analysis.report(small().results()))


def test_sections_stand_in_order_and_say_what_is_asked() -> None:
    study = small()
    study.more = {"description": "Does PS help?", "spec": "small.yaml"}
    page = Page(analysis.report(study.results()))
    order = ["question", "state", "table", "claims", "figures", "curves", "protocol", "provenance", "commands"]
    assert [known["id"] for known in page.all("section")] == order
    assert [known["href"] for known in page.all("a")] == [f"#{name}" for name in order]
    asked = " ".join(page.texts["question"].split())
    assert "Does PS help?" in asked and "base + PS (against base)" in asked
    assert "synthesis.ratio 0.5, 1.0" in asked and "0, 1, 2" in asked and "base + PS > base on map_at_r" in asked
    assert "the best MAP@R on validation classes" in asked
    assert "9 runs: 8 done, 1 waiting" in page.texts["state"]
    assert "base + PS improves MAP@R over base" in page.texts["claims"]
    assert "dml-study run small.yaml" in page.texts["commands"]


def test_nothing_is_fetched_and_the_policy_forbids_it() -> None:
    page = small_page()
    policies = [known["content"] for known in page.all("meta") if known.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1 and str(policies[0]).startswith("default-src 'none';")
    assert "http" not in str(policies[0]) and "img-src data:" in str(policies[0])
    fetched = [value for _, known in page.elements for key, value in known.items() if key in FETCHING]
    assert {str(value).partition(",")[0][:11] for value in fetched if not str(value).startswith("#")} == {"data:image/"}
    assert page.all("link") == [] and [known for known in page.all("script") if known] == []
    styles = Path(analysis.__file__).parent.joinpath("reports/style.css").read_text()
    assert "url(" not in styles and "@import" not in styles


def test_every_picture_and_table_has_words() -> None:
    page = small_page()
    assert all(known["alt"] and known["height"] for known in page.all("img")) and page.all("img")
    described = [known["aria-label"] for known in page.all("svg") if "aria-hidden" not in known]
    assert "MAP@R, validation of 3 runs over 3 epochs: from 10.00 to 40.00 %; selected epochs 2" in described
    labels = {known.get("aria-labelledby") for known in page.all("section")}
    assert labels == {known.get("id") for known in page.all("h2")}
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))


def test_the_command_of_a_figure_and_the_kinds_that_do_not_fit() -> None:
    study = Study()
    study.add("a", [0.5, 0.6, 0.7])
    names = {"made-up": Names("'my study'", "demo", "results/made-up")}
    page = Page(analysis.report(study.results(), about=About(names=names), metric="recall_at_1"))
    figures = page.texts["figures"]
    assert "dml-study plot 'my study' --metric recall_at_1 --kind bars" in figures
    assert "1 kinds of figures" in figures and "no numeric parameter was compared" in figures
    assert "dml-study run demo" in page.texts["commands"]


@pytest.mark.parametrize("name", NASTY)
def test_names_are_shown_as_they_are(name: str, tmp_path: Path) -> None:
    study = Study(name=name, axes=["dataset", "loss.name"], more={"description": name, "spec": name})
    base = study.add(name, [0.5, 0.6, 0.7], dataset=name, loss__name=name)
    study.add(f"{name} 2", [0.5, 0.4, 0.7], baseline=base, dataset=name, status={1: "failed"})
    next(row for row in study.runs.values() if row["status"] == "failed")["error"] = f"Traceback\n\x1b[31m{name}\x1b[0m"
    folder = study.write(tmp_path / "results")
    (folder / "spec.yaml").write_text(f"# {name}\nstudy: x\n", encoding="utf-8")
    text = analysis.report(analysis.load(folder))
    page = Page(text)
    for section in ("question", "table", "curves", "failures", "provenance"):
        assert name in page.texts[section], section
    assert "\x1b" not in text and len(page.all("script")) == 1
    text.encode("utf-8")


def test_text_that_no_page_can_hold_is_marked() -> None:
    assert plain("\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07 a\x00b\ud800c\r\nd") == "red link a�b�c\nd"


def test_failures_say_what_was_said_last_and_how_to_look() -> None:
    study = small()
    cell = study.add("broken", [0.5, None, None], status={1: "failed"})
    run_id = study.cells[cell]["replicates"][1]["run_id"]
    study.runs[run_id]["error"] = "Traceback (most recent call last):\n  File x\nTrainingError: the loss became nan"
    page = Page(analysis.report(study.results()))
    text = page.texts["failures"]
    assert "Failures (1)" in text and "broken, glyphs, seed 1" in text
    assert "TrainingError: the loss became nan" in text and f"dml-study debug {run_id[:8]} --results made-up" in text
    assert f"error-{run_id}" in [known.get("data-fold") for known in page.all("details")]
    assert "1 failed" in page.texts["state"] and "1 of 3 runs, 1 failed" in page.texts["curves"]


def odd_studies() -> dict[str, Any]:
    one_seed = Study(seeds=(0,))
    one_seed.add("a", [0.5])
    infinite = Study()
    infinite.add("a", [float("nan"), float("inf"), 0.5])
    infinite.curve(0, [[float("nan")] * 2, [0.1, float("inf")], [0.2, 0.3]])
    none_left = Study()
    none_left.add("a", [None, None, None], status={0: "failed", 1: "failed", 2: "failed"})
    half = Study()
    half.add("a", {"test_map_at_r": [0.1, 0.2, 0.3], "test_nmi": [0.5, None, None]})
    half.add("b", {"test_recall_at_1": [0.1, 0.2, 0.3]})
    other = Study(name="other", axes=["dataset", "loss.scale"])
    other.add("a", [0.5, 0.6, 0.7], loss__scale=8)
    twice = Study(name="same")
    twice.add("a", [0.5, 0.6, 0.7])
    return {
        "one seed": one_seed.results(),
        "not finite": infinite.results(),
        "all failed": none_left.results(),
        "half a metric": half.results(),
        "two studies": merged(small(), other, twice),
    }


@pytest.mark.parametrize("kind", odd_studies())
def test_odd_studies_are_readable(kind: str) -> None:
    page = Page(analysis.report(odd_studies()[kind]))
    assert {"question", "state", "table", "curves", "provenance", "commands"} <= page.texts.keys()
    shown = page.texts["table"] + page.texts["curves"] + page.texts["state"]
    assert "nan" not in shown.lower().replace("finance", "") and "None" not in shown


def test_nothing_finished_gives_question_state_and_plan() -> None:
    source = small().source()
    state = StudyState("made-up", {"running": 1, "waiting": 8}, ["left: unknown"], [("base, seed 0", "epoch 3/20")])
    page = Page(early_page([source], About(states=[state], reload=5), reason="No run is finished yet."))
    assert list(page.texts) == ["question", "state", "plan"]
    assert "9 runs: 1 running, 8 waiting" in page.texts["state"] and "epoch 3/20" in page.texts["state"]
    assert "3 cells of made-up" in page.texts["plan"] and "ratio 0.5" in page.texts["plan"]
    assert page.all("html")[0]["data-reload"] == "5" and "reloads every 5 s" in page.texts["state"]
    refreshed = [known["content"] for known in page.all("meta") if known.get("http-equiv") == "refresh"]
    assert refreshed == ["5"]  # inside noscript: with JavaScript the page loads itself and keeps its place


def test_notebooks_show_claims_as_a_list() -> None:
    study = small()
    study.add("<b> & Co", [0.1, 0.22, 0.13], baseline=0)
    report = analysis.check_claims(study.results(), metrics=["map_at_r"])
    shown = report._repr_html_()
    assert shown.count("<li") == len(report.comparisons) == 3
    assert "&lt;b&gt; &amp; Co is worse than base" in shown and "<b> &" not in shown


def test_lists_of_runs_and_parts_of_bars_share_names_but_no_looks() -> None:
    """Columns of the list of running runs, given to the bar's part too, once pushed all others out of it."""
    style = (Path(analysis.__file__).parent / "reports" / "style.css").read_text(encoding="utf-8")
    loose = re.findall(r"^\.(done|running|waiting|failed|blocked|pruned)\b", style, flags=re.MULTILINE)
    assert loose == [] and ".bar .running {" in style
