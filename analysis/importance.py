"""How much of the difference between good settings and all others each parameter explains; Optuna computes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.tried import Dimension, Setting, Tried
from trainables.errors import DmlStudyError

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 5
"""Complete settings below which nothing is said."""


@dataclass(frozen=True)
class Importance:
    """One parameter's share of 1.

    Attributes:
        value: by PED-ANOVA, over all complete settings.
        low, high: the extremes of `value` when one setting at a time is left out.
        fanova: by functional ANOVA of a random forest, as a check.
        settings: complete ones that it rests on; pruned and failed ones are left out.
    """

    key: str
    value: float
    low: float
    high: float
    fanova: float
    settings: int


def importances(tried: Tried, *, seed: int = 0) -> list[Importance]:
    """Importance of every parameter that differs between complete settings, most important first.

    Args:
        tried: as `tried_settings` gives it.
        seed: of the forest.

    Raises:
        DmlStudyError: too few complete settings, or none of their parameters differs.

    Source: Watanabe et al., "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces",
    IJCAI 2023; Hutter et al., "An Efficient Approach for Assessing Hyperparameter Importance", ICML 2014.
    """
    complete = tried.complete
    dimensions = [each for each in tried.dimensions if len({str(s.params[each.key]) for s in complete}) > 1]
    if len(complete) < FEWEST or not dimensions:
        raise DmlStudyError(
            f"{tried.title}: {len(complete)} complete settings, {len(dimensions)} parameters that differ between them; "
            f"importance needs {FEWEST} settings and a parameter that differs"
        )
    whole = _ped_anova(dimensions, complete, tried.sign)
    parts = [_ped_anova(dimensions, [*complete[:i], *complete[i + 1 :]], tried.sign) for i in range(len(complete))]
    forest = _fanova(dimensions, complete, seed)
    rows = [
        Importance(key, value, min(p[key] for p in parts), max(p[key] for p in parts), forest[key], len(complete))
        for key, value in whole.items()
    ]
    return sorted(rows, key=lambda row: -row.value)


def importance_frame(found: Sequence[Tried], *, seed: int = 0) -> "pd.DataFrame":
    """One row per search or comparison and parameter: the attributes of `Importance` as columns."""
    import pandas as pd

    return pd.DataFrame([{"of": tried.title, **vars(row)} for tried in found for row in importances(tried, seed=seed)])


def _ped_anova(dimensions: Sequence[Dimension], settings: Sequence[Setting], sign: float) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator

    # The evaluator fits a density to the settings above the quantile: it asks for five of them, where there are ten.
    quantile = min(0.5, max(0.1, 5 / len(settings)))
    return _shares(dimensions, settings, sign, PedAnovaImportanceEvaluator(target_quantile=quantile))


def _fanova(dimensions: Sequence[Dimension], settings: Sequence[Setting], seed: int) -> dict[str, float]:
    from optuna.importance import FanovaImportanceEvaluator

    return _shares(dimensions, settings, 1.0, FanovaImportanceEvaluator(seed=seed))


def _shares(
    dimensions: Sequence[Dimension], settings: Sequence[Setting], sign: float, evaluator: Any
) -> dict[str, float]:
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(direction="maximize")
        study.add_trials([_trial(dimensions, setting, sign) for setting in settings])
        shares: Mapping[str, float] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return {each.key: float(shares.get(each.key, 0.0)) for each in dimensions}


def _trial(dimensions: Sequence[Dimension], setting: Setting, sign: float) -> Any:
    import optuna

    return optuna.trial.create_trial(
        params={each.key: _encoded(each, setting.params[each.key]) for each in dimensions},
        distributions={each.key: _distribution(each) for each in dimensions},
        value=sign * setting.value,
    )


def _distribution(dimension: Dimension) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if dimension.choices:
        return CategoricalDistribution(tuple(range(len(dimension.choices))))
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _encoded(dimension: Dimension, value: Any) -> Any:
    return dimension.choices.index(value) if dimension.choices else float(value)
