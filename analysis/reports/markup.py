"""HTML from texts: everything that is shown goes through `escaped`."""

import re
from collections.abc import Iterable, Mapping
from html import escape

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def plain(text: str) -> str:
    """Without a terminal's colours; characters that no page can hold are marked."""
    return _UNPRINTABLE.sub("\ufffd", _ANSI.sub("", text.replace("\r\n", "\n")))


def escaped(text: object) -> str:
    """Text as it stands in an element or an attribute."""
    return escape(plain(str(text)))


def with_code(text: str) -> str:
    """A sentence of ours as markup: what stands between backticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escaped(text))


def tag(name: str, content: str = "", **attributes: object) -> str:
    """An element around markup; `class_` and `data_value` are the attributes class and data-value, None leaves out."""
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    text = "".join(f' {key}="{escaped(value)}"' for key, value in given.items())
    return f"<{name}{text}>{content}</{name}>"


def text(name: str, content: object, **attributes: object) -> str:
    """An element around text."""
    return tag(name, escaped(content), **attributes)


def section(key: str, heading: str, *parts: str) -> str:
    """A part of the page that links can name; nothing where it has nothing to show."""
    if not any(parts):
        return ""
    title = text("h2", heading, id=f"{key}-heading")
    return tag("section", "\n".join(["", title, *filter(None, parts), ""]), id=key, aria_labelledby=f"{key}-heading")


def fold(key: str, summary: str, content: str, *, open_: bool = False) -> str:
    """What a reader opens if need be; the key keeps it open when the page is loaded again."""
    return tag("details", text("summary", summary) + content, data_fold=key, open="" if open_ else None)


def bullets(items: Iterable[str], **attributes: object) -> str:
    """A list of markup."""
    found = "\n".join(tag("li", item) for item in items)
    return tag("ul", f"\n{found}\n", **attributes) if found else ""


def facts(values: Mapping[str, str]) -> str:
    """Names with what is known of each, as texts; what is empty is left out."""
    found = "\n".join(tag("div", text("dt", name) + text("dd", value)) for name, value in values.items() if value)
    return tag("dl", f"\n{found}\n") if found else ""


def command(line: str) -> str:
    """What a reader may copy into a shell."""
    return tag("pre", text("code", line), class_="command", tabindex=0)
