"""Reports of claims as text, Markdown, HTML, CSV, JSON and as a data frame."""

import json
from collections.abc import Callable, Iterator
from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Any

from analysis.claims.doubts import shared_doubts
from analysis.claims.model import ClaimReport, Tested
from analysis.claims.starring import star_note, stars

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("markdown", "csv", "json")


def render_claims(report: ClaimReport, format: str = "text") -> str:
    """The report as "text", "markdown", "html" (a fragment), "csv" or "json"."""
    return _RENDERERS[format](report)


def frame(report: ClaimReport) -> "pd.DataFrame":
    """One row per comparison; numbers in the shown unit, NaN where there is none."""
    import pandas as pd

    rows = [_record(each) for each in report.comparisons]
    return pd.DataFrame(rows, columns=list(_record_names(rows)))


def _record_names(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield from rows[0] if rows else ("study", "better", "worse", "metric", "verdict", "sentence")


def _record(tested: Tested) -> dict[str, Any]:
    compared = tested.comparison
    return {
        "study": tested.study,
        "better": tested.claim.better,
        "worse": tested.claim.worse,
        "metric": tested.claim.metric,
        "origin": tested.claim.origin,
        "dataset": tested.better.dataset,
        "place": tested.place,
        "verdict": tested.verdict,
        "stars": stars(tested),
        "mean": tested.first.mean,
        "mean_other": tested.second.mean,
        "difference": compared.difference,
        "low": compared.low,
        "high": compared.high,
        "n": compared.n,
        "paired": compared.paired,
        "correlation": compared.correlation,
        "p": compared.p_value,
        "p_counted": tested.p_value,
        "level": tested.level,
        "p_wilcoxon": tested.wilcoxon,
        "g": tested.effect.g,
        "g_low": tested.effect.low,
        "g_high": tested.effect.high,
        "classes": tested.classes.n,
        "classes_low": tested.classes.low,
        "classes_high": tested.classes.high,
        "both_low": tested.both.low,
        "both_high": tested.both.high,
        "detectable": tested.detectable,
        "seeds_needed": tested.seeds_needed,
        "doubts": "; ".join(tested.doubts),
        "sentence": tested.sentence,
    }


def _text(report: ClaimReport) -> str:
    return "\n".join(_lines(report, bullet="", doubt="    careful: ")) + "\n"


def _markdown(report: ClaimReport) -> str:
    """Names of methods are shown as they are, whatever signs they have."""
    return "\n".join(_lines(report, bullet="- ", doubt="  - Careful: ", shown=_escaped)) + "\n"


def _escaped(text: str) -> str:
    """All but code spans."""
    from analysis.tables.formats.markdown import escape

    return "`".join(part if index % 2 else escape(part) for index, part in enumerate(text.split("`")))


def _lines(report: ClaimReport, *, bullet: str, doubt: str, shown: Callable[[str], str] = str) -> Iterator[str]:
    for sentence, doubts in _told(report):
        yield bullet + shown(sentence)
        yield from (doubt + shown(text) for text in doubts)
    notes = _notes(report)
    yield from ["", *(f"{bullet}{shown(text)}" for text in notes)] if notes else []


def _html(report: ClaimReport) -> str:
    """A `div` with a list of sentences, their doubts below, and what holds for all."""
    told = zip(report.comparisons, _told(report), strict=True)
    items = [_html_item(each.verdict, *sentences) for each, sentences in told]
    notes = [f"<p>{escape(text)}</p>" for text in _notes(report)]
    return "\n".join(['<div class="dml-claims">', "<ul>", *items, "</ul>", *notes, "</div>"]) + "\n"


def _html_item(verdict: str, sentence: str, doubts: list[str]) -> str:
    below = "".join(f"<p><small>Careful: {escape(text)}</small></p>" for text in doubts)
    return f'<li class="{verdict}">{escape(sentence)}{below}</li>'


def _told(report: ClaimReport) -> Iterator[tuple[str, list[str]]]:
    """Every sentence with its stars, and what weakens it alone."""
    shared = shared_doubts(report.comparisons)
    studies = {each.study for each in report.comparisons}
    for each in report.comparisons:
        marks = stars(each)
        study = f"{each.study}: " if len(studies) > 1 else ""
        sentence = f"{study}{each.sentence}{f' {marks}' if marks else ''}"
        yield sentence, [text for text in each.doubts if text not in shared]


def _notes(report: ClaimReport) -> list[str]:
    note = star_note(report.comparisons) if any(map(stars, report.comparisons)) else ""
    return [text for text in (*report.notes, note) if text]


def _csv(report: ClaimReport) -> str:
    return str(frame(report).to_csv(index=False, lineterminator="\n", float_format="%.10g"))


def _json(report: ClaimReport) -> str:
    rows = [{key: _plain(value) for key, value in _record(each).items()} for each in report.comparisons]
    for row, each in zip(rows, report.comparisons, strict=True):
        row["doubts"] = list(each.doubts)
    content = {"alpha": report.alpha, "family": report.family, "comparisons": rows, "notes": list(report.notes)}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """JSON knows no NaN."""
    return None if isinstance(value, float) and not isfinite(value) else value


_RENDERERS = {"text": _text, "markdown": _markdown, "html": _html, "csv": _csv, "json": _json}
