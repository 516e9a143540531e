"""What a study asks: its description, what it compares, and how it selects."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.labels import enumeration, value_text
from analysis.loading import Source
from analysis.metrics import describe
from analysis.reports.markup import facts, section, text
from trainables.ledger import Ledger

Plan = Mapping[str, Any]


def question(sources: Sequence[Source]) -> str:
    """The section; plans are enough for it."""
    several = len(sources) > 1
    return section("question", "Question", *(part for source in sources for part in _study(source, several)))


def spec_text(source: Source) -> str:
    """The spec as the last `dml-study run` read it; empty where it is not known."""
    ledger = source.ledger
    if not isinstance(ledger, Ledger) or not ledger.exists("spec.yaml"):
        return ""
    return ledger.get("spec.yaml").decode("utf-8", errors="replace")


def _study(source: Source, several: bool) -> Iterable[str]:
    plan = source.plan
    if several:
        yield text("h3", source.study)
    for paragraph in (plan.get("description", ""), opening_comment(spec_text(source))):
        if paragraph:
            yield text("p", paragraph, class_="asked")
    yield facts(
        {
            "Methods": enumeration([_method(method) for method in plan.get("methods", ())], limit=40),
            "Datasets": enumeration(_values(plan, "dataset"), limit=20),
            "Compared": enumeration(_axes(plan), limit=20),
            "Seeds": _seeds(plan),
            "Claims": enumeration(
                [f"{each['better']} > {each['worse']} on {each['metric']}" for each in _claims(plan)]
            ),
            "Searched": enumeration(_searches(plan), limit=20),
            "Epoch": _selection(plan.get("protocol", {})),
            "Test classes": _looks(plan.get("protocol", {})),
        }
    )


def opening_comment(spec: str) -> str:
    """The lines that a spec begins with, before anything that is not a comment."""
    lines = []
    for line in spec.lstrip("\ufeff").splitlines():
        if not re.match(r"\s*#", line):
            break
        lines.append(re.sub(r"^\s*#+ ?", "", line).strip())
    return " ".join(filter(None, lines))


def _method(method: Mapping[str, Any]) -> str:
    name = method.get("label") or method["name"]
    return f"{name} (against {method['baseline']})" if method.get("baseline") else name


def _axes(plan: Plan) -> list[str]:
    axes = [axis for axis in plan.get("axes", ()) if axis != "dataset"]
    return [f"{axis} {', '.join(values)}" for axis in axes if (values := _values(plan, axis))]


def _values(plan: Plan, axis: str) -> list[str]:
    places = [*plan.get("cells", ()), *plan.get("searches", ())]
    found = (value_text(each["axes"].get(axis)) for each in places)
    return [value for value in dict.fromkeys(found) if value]


def _seeds(plan: Plan) -> str:
    replicates = [each for cell in plan.get("cells", ()) for each in cell["replicates"]]
    seeds = {each["seed"] for each in replicates}
    folds = {each["fold"] for each in replicates} - {None}
    fold_text = f", each on {len(folds)} folds" if len(folds) > 1 else ""
    return f"{', '.join(map(str, sorted(seeds)))}{fold_text}" if seeds else ""


def _claims(plan: Plan) -> Sequence[Mapping[str, str]]:
    return list(plan.get("claims", ()))


def _searches(plan: Plan) -> list[str]:
    return [
        f"{method}: {', '.join(space)} ({search['trials']} settings by {search['sampler']})"
        for search in plan.get("searches", ())
        for method, space in [(search["method"], search["space"])]
    ]


def _selection(protocol: Mapping[str, Any]) -> str:
    by = protocol.get("select_by")
    metric = describe(f"test_{by}").label if by else ""
    every = protocol.get("evaluate_every", 1)
    rhythm = f", measured every {every} epochs" if every and every > 1 else ""
    if protocol.get("selection") == "best_validation":
        return f"the best {metric} on validation classes{rhythm}"
    return str(protocol.get("selection", "")).replace("_", " ") + (rhythm if protocol.get("selection") else "")


def _looks(protocol: Mapping[str, Any]) -> str:
    return {
        "selected": "looked at once, at the selected epoch",
        "every_eval": "looked at whenever the model is measured: best epochs on test are flagged",
        "never": "not looked at",
    }.get(protocol.get("test", ""), "")
