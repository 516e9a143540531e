"""Facts of several runs in one sentence: what they share, and how they differ."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.protocol.facts import Config, Fact

_VARIANTS, _NAMES = 3, 2


@dataclass(frozen=True)
class Used:
    """A run that numbers come from."""

    dataset: str
    method: str
    config: Config


Values = tuple[str, ...]
"""The text of each fact for one run."""


def told(facts: Sequence[Fact], runs: Iterable[Used]) -> str:
    """The facts separated by commas, shared ones first where several differ together.

    Two or three variants are told apart, with the datasets or methods that they belong to; of more variants the
    values of each fact, and of more values only that they differ.
    """
    runs = list(runs)
    many = [fact.name for fact in facts if len({fact.read(run.config) for run in runs}) > fact.limit]
    few = [fact for fact in facts if fact.name not in many]
    rest = f"{_joined(many, 'and')} {'varies' if len(many) == 1 else 'vary'}" if many else ""
    return "; ".join(filter(None, [*_known(few, runs), rest]))


def told_of_one(facts: Sequence[Fact], config: Config) -> str:
    """The facts of a single run."""
    return told(facts, [Used("", "", config)])


def _known(facts: Sequence[Fact], runs: Sequence[Used]) -> list[str]:
    owners: dict[Values, list[Used]] = {}
    for run in runs:
        owners.setdefault(tuple(fact.read(run.config) for fact in facts), []).append(run)
    values = dict(zip(facts, map(_distinct, zip(*owners, strict=True)), strict=False))
    differing = [fact for fact in values if len(values[fact]) > 1]
    if len(differing) < 2 or len(owners) > _VARIANTS:
        return [", ".join(filter(None, (_listed(fact, found) for fact, found in values.items())))]
    shared = ", ".join(filter(None, (_listed(fact, found) for fact, found in values.items() if fact not in differing)))
    variants = [_variant(facts, each, differing) for each in owners]
    return [shared, _with_owners(variants, list(owners.values()))]


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _listed(fact: Fact, values: Sequence[str]) -> str:
    """All values of one fact; nothing where all runs do what readers expect."""
    known = [value for value in values if value]
    if not known or list(values) == [fact.silent]:
        return ""
    part = " in some runs" if len(known) < len(values) else ""
    return _filled(fact, _joined(known, "or")) + part


def _variant(facts: Sequence[Fact], values: Values, differing: Sequence[Fact]) -> str:
    """The differing facts of one variant; what readers expect is told where there is nothing else."""
    known = [(fact, value) for fact, value in zip(facts, values, strict=True) if fact in differing and value]
    telling = [(fact, value) for fact, value in known if value != fact.silent]
    return ", ".join(_filled(fact, value) for fact, value in telling or known)


def _filled(fact: Fact, value: str) -> str:
    text = fact.template.format(value)
    return re.sub(r"^(\D*)\b1 (epoch|evaluation)s\b", r"\g<1>1 \2", text)


def _with_owners(texts: Sequence[str], owners: Sequence[Sequence[Used]]) -> str:
    for kind in ("dataset", "method"):
        names = [list(dict.fromkeys(getattr(run, kind) for run in runs)) for runs in owners]
        if labels := _labels(names, f"other {kind}s"):
            return "; ".join(f"{label}: {text}" for label, text in zip(labels, texts, strict=True))
    return f"either {'; or '.join(texts)}"


def _labels(names: Sequence[Sequence[str]], others: str) -> list[str]:
    """The names of each variant; the longest list may be all others. Empty where that is not clear, or too long."""
    distinct = {name for each in names for name in each}
    longest = max(range(len(names)), key=lambda index: len(names[index]))
    long = [index for index, each in enumerate(names) if len(each) > _NAMES]
    if len(distinct) < sum(map(len, names)) or not set(long) <= {longest}:
        return []
    quoted = [[f"'{name}'" if "," in name else name for name in each] for each in names]
    return [others if index in long else " and ".join(each) for index, each in enumerate(quoted)]


def _joined(items: Sequence[str], word: str) -> str:
    return f" {word} ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))
