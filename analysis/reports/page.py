"""The page around the sections: one file that asks nothing of any network."""

from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

from analysis.reports.markup import escaped, section, tag, text
from analysis.reports.model import About
from trainables.errors import DmlStudyError

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
_CONTROLS = """
<div id="controls" hidden>
<label>Show only
<input id="filter" type="search" placeholder="PS, ratio 0.5" autocomplete="off" aria-describedby="phrases">
</label>
<span id="phrases" class="note">all of these phrases, parted by commas</span>
<span id="chips"></span>
<output id="matches" for="filter"></output>
</div>"""


def page(title: str, sections: Sequence[tuple[str, str]], about: About) -> str:
    """The whole document.

    Args:
        title: names of the studies.
        sections: heading and markup of each; those without markup are left out.
    """
    shown = [(heading, markup) for heading, markup in sections if markup]
    body = [
        tag("header", text("h1", title) + _contents(shown)),
        tag("main", "\n".join([_CONTROLS, *(markup for _, markup in shown), ""])),
        tag("footer", text("p", f"Made by dml-study at {about.clock}.")),
        tag("script", _asset("script.js")),
    ]
    reload = "" if about.reload is None else f' data-reload="{about.reload}"'
    return "\n".join(
        ["<!doctype html>", f'<html lang="en"{reload}>', _head(title, about), "<body>", *body, "</body>", "</html>", ""]
    )


def _head(title: str, about: About) -> str:
    lines = [
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escaped(title)}: report</title>",
        tag("style", _asset("style.css")),
    ]
    if about.reload is not None:
        lines.append(f'<noscript><meta http-equiv="refresh" content="{about.reload}"></noscript>')
    return "\n".join(["<head>", *lines, "</head>"])


def _contents(shown: Sequence[tuple[str, str]]) -> str:
    links = [text("a", heading, href=f"#{_key(markup)}") for heading, markup in shown]
    return tag("nav", "\n".join(links), aria_label="Contents")


def _key(markup: str) -> str:
    """The id that the section begins with."""
    return markup.partition('id="')[2].partition('"')[0]


def guarded(key: str, heading: str, build: Callable[[], str]) -> tuple[str, str]:
    """Heading and markup of a section; the reason where results have no data for it."""
    try:
        return heading, build()
    except DmlStudyError as reason:
        return heading, section(key, heading, text("p", str(reason), class_="note"))


@cache
def _asset(name: str) -> str:
    """A file beside this module; no user's text is in it."""
    return files("analysis.reports").joinpath(name).read_text(encoding="utf-8")
