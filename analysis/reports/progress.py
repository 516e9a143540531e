"""The section that says how far studies are."""

from collections.abc import Mapping, Sequence

from analysis.loading import Results
from analysis.reports.markup import bullets, escaped, fold, section, tag, text, with_code
from analysis.reports.model import About, StudyState

_SHOWN = 12
_ORDER = ("done", "running", "waiting", "failed", "blocked", "pruned")


def states_of(results: Results) -> list[StudyState]:
    """What the plans and the ends of their runs say."""
    runs = results.replicates.drop_duplicates(["study", "run_id"])
    names = {"complete": "done", "missing": "waiting"}
    found = []
    for study in results.plans:
        counts = runs.loc[runs["study"] == study, "status"].value_counts()
        found.append(StudyState(study, {names.get(str(name), str(name)): int(n) for name, n in counts.items()}))
    return found


def as_of(about: About) -> str:
    """When a part was made, on a page whose parts may be of different times."""
    return "" if about.reload is None else text("p", f"As of {about.clock}", class_="asof")


def progress(states: Sequence[StudyState], about: About) -> str:
    """The section."""
    head = tag("p", escaped(f"As of {about.clock}") + _reloading(about), class_="asof")
    several = len(states) > 1
    return section("state", "State", head, *(part for state in states for part in _study(state, several)))


def _reloading(about: About) -> str:
    if about.reload is None:
        return ""
    pause = text("button", "pause", type="button", id="pause", aria_pressed="false", hidden="")
    return escaped(f"; reloads every {about.reload} s ") + pause


def _study(state: StudyState, several: bool) -> list[str]:
    total = sum(state.counts.values())
    words = f"{total} run{'s' * (total != 1)}: " + ", ".join(f"{n} {name}" for name, n in _ordered(state.counts))
    return [
        text("h3", state.study) if several else "",
        _bar(state.counts, total, words),
        text("p", words, class_="counts"),
        bullets(map(with_code, state.lines)),
        _running(state),
    ]


def _ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    known = [name for name in _ORDER if counts.get(name)] + [name for name in counts if name not in _ORDER]
    return [(name, counts[name]) for name in known]


def _bar(counts: Mapping[str, int], total: int, words: str) -> str:
    parts = [tag("span", class_=name, style=f"flex-grow:{count}") for name, count in _ordered(counts)]
    return tag("div", "".join(parts), class_="bar", role="img", aria_label=words) if total else ""


def _running(state: StudyState) -> str:
    items = [text("b", title) + escaped(f": {said}") for title, said in state.running]
    if len(items) <= _SHOWN:
        return bullets(items, class_="running")
    more = fold(f"running-{state.study}", f"{len(items) - _SHOWN} more at work", bullets(items[_SHOWN:]))
    return bullets(items[:_SHOWN], class_="running") + more
