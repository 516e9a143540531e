"""Puts a report together from results, or from plans where nothing is finished yet."""

from collections.abc import Sequence

from analysis.claims import check_claims
from analysis.claims.rendering import render_claims
from analysis.loading import Results, Source
from analysis.reports.cells import curves
from analysis.reports.failures import failures
from analysis.reports.markup import command, fold, section, tag
from analysis.reports.model import About
from analysis.reports.page import guarded, page
from analysis.reports.pictures import draw_figures, figures
from analysis.reports.planned import planned
from analysis.reports.progress import as_of, progress, states_of
from analysis.reports.provenance import again, protocol, provenance
from analysis.reports.question import question
from analysis.reports.shell import call
from analysis.tables import comparison_table, render
from trainables.errors import DmlStudyError

_SENTENCES = 40
"""More comparisons than these are folded away."""

Sections = list[tuple[str, str]]


def report(results: Results, *, about: About | None = None, metric: str | None = None) -> str:
    """One HTML page about one or several studies, finished or not: what a co-author is sent.

    It holds the question, the state, the comparison table, the claims in sentences, all figures that there is data for,
    every cell's curves, failures, protocol, provenance and the commands to make it again. It needs no other file and no
    network; with JavaScript its table is sorted and filtered.

    Args:
        results: as `analysis.load` returns them.
        about: when they were read, the state of studies that still run, and how commands call them.
        metric: of the figures; by default the one that epochs are selected by.
    """
    about = about or About()
    found = draw_figures(results, metric=metric or main_metric(results.sources))
    return whole_page(results, about, sections(results, about), figures(results, about, found))


def main_metric(sources: Sequence[Source]) -> str:
    """What all studies select epochs by; MAP@R where they differ."""
    by = {source.plan.get("protocol", {}).get("select_by", "map_at_r") for source in sources}
    return next(iter(by)) if len(by) == 1 else "map_at_r"


def whole_page(results: Results, about: About, found: Sections, figures: str) -> str:
    """The page of sections that were made before.

    Args:
        found: see `sections`.
        figures: the section of figures; empty for none.
    """
    states = about.states or states_of(results)
    first = [("Question", question(results.sources)), ("State", progress(states, about))]
    return page(", ".join(results.plans), [*first, *found[:2], ("Figures", figures), *found[2:]], about)


def sections(results: Results, about: About) -> Sections:
    """Heading and markup of everything that changes only when a run ends, but the figures: table and claims first."""
    return [
        guarded("table", "Comparison", lambda: _table(results, about)),
        guarded("claims", "Claims", lambda: _claims(results, about)),
        guarded("curves", "Curves", lambda: curves(results)),
        guarded("failures", "Failures", lambda: failures(results, about)),
        guarded("protocol", "Protocol", lambda: protocol(results)),
        guarded("provenance", "Provenance", lambda: provenance(results)),
        guarded("commands", "Commands", lambda: again(results, about)),
    ]


def _table(results: Results, about: About) -> str:
    shown = render(comparison_table(results), "html")
    table = tag("div", shown, class_="wide")
    return section("table", "Comparison", as_of(about), table, command(call(results, about, "table")))


def _claims(results: Results, about: About) -> str:
    found = check_claims(results)
    if not found.comparisons:
        return ""
    claimed = any(plan.get("claims") for plan in results.plans.values())
    heading = "Claims" if claimed else "Differences to baselines"
    told = render_claims(found, "html")
    if len(found.comparisons) > _SENTENCES:
        told = fold("sentences", f"{len(found.comparisons)} comparisons", told)
    return section("claims", heading, told, command(call(results, about, "compare")))


def early_page(sources: Sequence[Source], about: About, *, reason: str) -> str:
    """The page of studies that have nothing to compare yet: question, state and plan.

    Args:
        reason: what is missing.
    """
    first = [("Question", question(sources)), ("State", progress(about.states, about))]
    title = ", ".join(source.study for source in sources)
    return page(title, [*first, ("Plan", planned(sources, reason))], about)


def without_values(results: Results) -> str:
    """Why the results cannot be compared yet; empty where they can."""
    try:
        results.replicates  # noqa: B018  what is read first
    except DmlStudyError as reason:
        return str(reason)
    return ""
