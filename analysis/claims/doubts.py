"""Why the data may not support what a comparison says, each reason in one sentence."""

from collections.abc import Iterator, Sequence
from math import isfinite, isnan
from typing import TYPE_CHECKING

from analysis.cells import PlannedCell, valid_values
from analysis.claims.model import Tested
from analysis.loading import Results
from analysis.protocol.devices import device_note
from analysis.statistics import minimum_rank_test_p

if TYPE_CHECKING:
    import pandas as pd


def doubts(results: Results, tested: Tested, *, family: int, alpha: float) -> tuple[str, ...]:
    """Of one comparison.

    Args:
        family: number of comparisons that share the error `alpha`.
    """
    first, second = (_replicates(results, cell) for cell in (tested.better, tested.worse))
    texts = [
        *(_absent(rows, cell, tested) for rows, cell in ((first, tested.better), (second, tested.worse))),
        _few(tested, family if tested.look is None else 1, alpha),
        _unpaired(tested),
        _without_spread(tested),
        *_folds(first, second),
        _rank_test(tested),
        _other_classes(tested),
        _on_test(tested),
        _devices(first, second),
    ]
    return tuple(dict.fromkeys(text for text in texts if text))


def shared_doubts(comparisons: Sequence[Tested]) -> tuple[str, ...]:
    """Doubts about every one of several comparisons."""
    if len(comparisons) < 2:
        return ()
    return tuple(text for text in comparisons[0].doubts if all(text in each.doubts for each in comparisons))


def shared_notes(comparisons: Sequence[Tested], *, family: int, alpha: float) -> tuple[str, ...]:
    """How the comparisons were tested, and what holds for all of them."""
    origins = {each.claim.origin for each in comparisons}
    texts = [_ORIGINS[origin] for origin in ("baseline", "asked") if origin in origins]
    if any(isfinite(each.p_holm) for each in comparisons):
        texts.append(
            "Tests: two-sided t-tests, paired on seeds where both methods have the same ones; p-values after Holm over "
            f"{_counted(family, 'comparison')}, {100 * alpha:g} % error for all together; intervals are of one each."
        )
    if any(each.look is not None for each in comparisons):
        texts.append("Seeds were added until claims were settled: their last look decides, at the level that it had.")
    texts += [f"All comparisons: {text}." for text in shared_doubts(comparisons)]
    return tuple(texts)


_ORIGINS = {
    "baseline": "Exploration: cells are compared with their baselines, whatever is claimed; such p-values are hints, "
    "not evidence, and get no stars. Write `claims:` into the spec before new seeds are trained.",
    "asked": "Some of these claims are not in the spec: stated after the results were there, they are hints, not "
    "evidence, and get no stars.",
}


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _replicates(results: Results, cell: PlannedCell) -> "pd.DataFrame":
    rows = results.replicates
    return rows[(rows["study"] == cell.study) & (rows["cell"] == cell.key[1])]


def _absent(rows: "pd.DataFrame", cell: PlannedCell, tested: Tested) -> str:
    """What is planned and has no value."""
    if tested.metric.column not in rows:
        return f"no run has {tested.metric.label}"
    runs = rows.drop_duplicates("run_id")
    status = runs["status"].where(valid_values(runs, tested.metric.column).notna(), runs["status"] + " without a value")
    lost = status[status != "complete"].value_counts()
    words = [f"{count} {_STATUS.get(str(state), str(state))}" for state, count in lost.items()]
    return f"{cell.method}: of {_counted(len(runs), 'run')} {', '.join(words)}" if words else ""


_STATUS = {
    "complete without a value": "complete without a finite value",
    "failed without a value": "failed",
    "missing without a value": "not finished",
    "pruned without a value": "stopped early",
}


def _few(tested: Tested, family: int, alpha: float) -> str:
    n = tested.comparison.n
    if not tested.first.n or not tested.second.n:
        return ""
    if n < 2:
        return "one seed cannot tell the method from its luck"
    least = minimum_rank_test_p(n)
    if not tested.comparison.paired or family * least <= alpha:
        return ""
    corrected = f", {min(1.0, family * least):.3g} after Holm" if family > 1 and least <= alpha else ""
    return (
        f"too few seeds for a test without assumptions: with {n} a paired rank test cannot go below p = {least:.3g}"
        f"{corrected}; the t-test takes differences to be normally distributed"
    )


def _unpaired(tested: Tested) -> str:
    if tested.comparison.paired or not tested.comparison.n:
        return ""
    return "the seeds of the two methods differ: Welch's test, without the precision that pairs have"


def _without_spread(tested: Tested) -> str:
    if tested.verdict != "untested" or tested.comparison.n < 2:
        return ""
    return "the difference is the same on every seed, so that nothing tells how sure it is"


def _folds(first: "pd.DataFrame", second: "pd.DataFrame") -> Iterator[str]:
    folds = max(int(rows.groupby("seed")["fold"].nunique().max()) for rows in (first, second))
    if folds > 1:
        yield f"the {folds} folds of a seed share training data: they are averaged, and n counts seeds"


def _rank_test(tested: Tested) -> str:
    """Where the check could confirm, and does not."""
    p_value, n = tested.wilcoxon, tested.comparison.n
    if tested.verdict not in ("better", "worse") or isnan(p_value) or minimum_rank_test_p(n) > 0.05 or p_value <= 0.05:
        return ""
    return f"Wilcoxon's signed-rank test does not confirm it (p = {p_value:.2g})"


def _other_classes(tested: Tested) -> str:
    interval = tested.classes
    if tested.verdict not in ("better", "worse") or not interval.low <= 0 <= interval.high:
        return ""
    return "the interval over test classes includes 0: with other test classes it may not hold"


def _on_test(tested: Tested) -> str:
    return "epochs were selected on test classes" if tested.metric.selected_on_test else ""


def _devices(first: "pd.DataFrame", second: "pd.DataFrame") -> str:
    import pandas as pd

    rows = pd.concat([first, second]).drop_duplicates("run_id")
    note = device_note(rows[rows["status"] == "complete"])
    return note.removeprefix("Warning: ").removesuffix(".")
