"""The sections that say how numbers were made, with what, and how to make them again."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from analysis.labels import enumeration, value_text
from analysis.loading import Results, Source
from analysis.protocol.notes import protocol_notes
from analysis.protocol.settling import settling_note
from analysis.reports.markup import bullets, command, escaped, facts, fold, section, tag, text
from analysis.reports.model import About
from analysis.reports.question import spec_text
from analysis.reports.shell import call, names_of

if TYPE_CHECKING:
    import pandas as pd


def protocol(results: Results) -> str:
    """What the runs have in common, where they differ, and the plan's rules."""
    notes = [escaped(note) for note in protocol_notes(results, results.replicates)]
    settled = [settling_note(plan["settling"]) for plan in results.plans.values() if "settling" in plan]
    noted = [note for plan in results.plans.values() for note in plan.get("notes", ())]
    rules = [
        fold(f"rules-{study}", f"Rules of {study} as the plan has them", facts(_rules(plan.get("protocol", {}))))
        for study, plan in results.plans.items()
    ]
    return section("protocol", "Protocol", bullets([*notes, *map(escaped, filter(None, [*settled, *noted]))]), *rules)


def _rules(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: value_text(value) if value not in ([], None) else "none" for name, value in values.items()}


def provenance(results: Results) -> str:
    """Per study: when, where, with which code, data and packages; and the spec in full."""
    several = len(results.sources) > 1
    parts = [part for source in results.sources for part in _study(results, source, several)]
    return section("provenance", "Provenance", *parts)


def _study(results: Results, source: Source, several: bool) -> Iterator[str]:
    runs = results.runs[results.runs["study"] == source.study]
    if several:
        yield text("h3", source.study)
    yield facts(_facts(runs))
    spec = spec_text(source)
    if spec:
        place = source.plan.get("spec", "")
        title = f"Spec of {source.study}" + (f" ({place})" if place else "")
        yield fold(f"spec-{source.study}", title, text("pre", spec, tabindex=0), open_=True)


def _facts(runs: "pd.DataFrame") -> dict[str, str]:
    return {
        "Runs": _counted(runs, "status"),
        "When": _when(runs),
        "Training": _hours(runs),
        "Code": _counted(runs, "git_commit"),
        "Devices": _counted(runs, "device_name"),
        "Machines": _counted(runs, "host"),
        "GPU memory": _memory(runs),
        "Data": enumeration(_data(runs), limit=20),
        "Weights": _counted(runs, "backbone.weights_revision"),
        "Versions": enumeration(_versions(runs), limit=40),
        "Copied from": _counted(runs, "origin"),
    }


def _counted(runs: "pd.DataFrame", column: str) -> str:
    """ "AMD EPYC"; "A (30 runs); B (2 runs)" where there are several; empty where nothing is recorded."""
    if column not in runs.columns:
        return ""
    counts = runs[column].dropna().astype(str).value_counts(sort=False)
    values = [(str(value), int(count)) for value, count in counts.items() if value]
    if len(values) == 1 and values[0][1] == len(runs) and column != "status":
        return values[0][0]
    return enumeration([f"{value} ({count} run{'s' * (count != 1)})" for value, count in values], limit=20)


def _when(runs: "pd.DataFrame") -> str:
    started, ended = runs["started_at"].dropna(), runs["ended_at"].dropna()
    if not len(started) or not len(ended):
        return ""
    return f"{started.min():%Y-%m-%d %H:%M} to {ended.max():%Y-%m-%d %H:%M} UTC"


def _hours(runs: "pd.DataFrame") -> str:
    seconds = float(runs["wall_seconds"].fillna(0.0).sum())
    return f"{seconds / 3600:.2f} h, all runs one after the other" if seconds else ""


def _memory(runs: "pd.DataFrame") -> str:
    peak = runs["peak_gpu_memory"].dropna()
    return f"{float(peak.max()) / 2**30:.2f} GiB at most" if len(peak) and peak.max() > 0 else ""


def _data(runs: "pd.DataFrame") -> list[str]:
    pairs = runs[["dataset", "dataset_revision"]].drop_duplicates().dropna(subset="dataset")
    return [
        f"{name} (revision {revision})" if isinstance(revision, str) else str(name)
        for name, revision in pairs.itertuples(index=False)
    ]


def _versions(runs: "pd.DataFrame") -> list[str]:
    found: dict[str, dict[str, None]] = {}
    for record in runs["versions"].dropna().unique():
        for package, version in json.loads(record).items():
            found.setdefault(package, {})[str(version)] = None
    return [f"{package} {' and '.join(versions)}" for package, versions in found.items()]


_COMMANDS = (
    "<code>run</code> goes on where it was stopped and trains only what is missing; <code>reproduce</code> trains one "
    "run again and compares it bit by bit."
)


def again(results: Results, about: About) -> str:
    """Commands that train, print and check these results."""
    names = [names_of(source, about) for source in results.sources]
    trained = {source.study: each for source, each in zip(results.sources, names, strict=True) if each.spec}
    lines = [f"dml-study run {each.spec}" for each in trained.values()]
    lines += [call(results, about, name) for name in ("table", "compare", "report")]
    lines += [call(results, about, "plot", "--kind all")]
    complete = results.replicates[results.replicates["status"] == "complete"]
    first = complete.drop_duplicates("study")[["study", "run_id"]].itertuples(index=False)
    lines += [
        f"dml-study reproduce {run_id[:8]} --results {trained[study].folder}"
        for study, run_id in first
        if study in trained
    ]
    note = tag("p", _COMMANDS, class_="note") if trained else ""
    return section("commands", "Commands", command("\n".join(lines)), note)
