"""Claims: the only comparisons that get significance stars."""

import re
from collections.abc import Sequence
from typing import get_args

from study.spec.document import At, Document
from study.spec.errors import Problems
from study.spec.model import SpecFile
from study.spec.spec import Claim
from trainables.claims import split_claim
from trainables.spelling import nearest
from trainables.training.config import Metric

METRICS: tuple[str, ...] = get_args(Metric)


def read_claims(
    files: Sequence[tuple[Document, SpecFile]], methods: Sequence[str], problems: Problems
) -> tuple[Claim, ...]:
    """Claims of the last file that has the key."""
    having = [(document, file) for document, file in files if "claims" in file.model_fields_set]
    if not having:
        return ()
    document, file = having[-1]
    ats = [At(document) / "claims" / index for index in range(len(file.claims))]
    claims = [_claim(text, methods, at, problems) for text, at in zip(file.claims, ats, strict=True)]
    return tuple(claim for claim in claims if claim is not None)


def _claim(text: str, methods: Sequence[str], at: At, problems: Problems) -> Claim | None:
    found = split_claim(text, methods)
    if found is None:
        problems.add(at.place, at.key, f"should read 'A > B on map_at_r', got '{text}'")
        return None
    better, worse, metric = found
    wrong = _wrong_names(better, worse, methods) or _wrong_metric(metric)
    if wrong is not None:
        problems.add(at.place, at.key, wrong)
        return None
    return Claim(better, worse, metric, at.place)


def _wrong_names(better: str, worse: str, methods: Sequence[str]) -> str | None:
    if better == worse:
        return f"compares '{better}' with itself"
    for name in (better, worse):
        if name not in methods:
            return f"unknown method '{name}'; {nearest(name, list(methods))}"
    return None


def _wrong_metric(metric: str) -> str | None:
    if metric in METRICS or re.fullmatch(r"recall_at_[1-9]\d*", metric):
        return None
    return f"unknown metric '{metric}'; {nearest(metric, list(METRICS))}"
