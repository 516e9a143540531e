"""When a setting that is clearly worse than the best one needs no more replicates.

The pairs, the test and the safeguard are those of Optuna's WilcoxonPruner.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from study.spec.model import TuneStage


@dataclass(frozen=True)
class ReplicateRule:
    """After its first replicates, and again after every `batch` more, a setting is tested against the incumbent.

    Attributes:
        p: of the one-sided signed-rank test (Wilcoxon) over pairs of the same seed and fold; below, the setting ends.
        batch: replicates between two tests, which train side by side.
    """

    p: float
    batch: int = 1

    @property
    def first(self) -> int:
        """Fewest pairs that can get below p: a setting that is worse in all of n pairs has 1/2^n."""
        return next(pairs for pairs in itertools.count(2) if 0.5**pairs < self.p)

    def trained(self, scores: Sequence[float | None], rivals: Sequence[float]) -> int:
        """How many replicates of a setting are to be trained, as far as is known.

        Args:
            scores: of the replicates in order, larger is better; NaN of one that failed or was stopped, None of one
                that is not finished.
            rivals: the incumbent's on the same seeds and folds; empty where there is none.
        """
        for count in range(self.first, len(scores), self.batch):
            known = [score for score in scores[:count] if score is not None]
            if len(known) < count or self.ends(known, rivals):
                return count
        return len(scores)

    def ends(self, scores: Sequence[float], rivals: Sequence[float]) -> bool:
        """Whether a setting needs no more replicates: it is worse, or cannot be chosen any more."""
        return not all(map(math.isfinite, scores)) or self.worse(scores, rivals)

    def worse(self, scores: Sequence[float], rivals: Sequence[float]) -> bool:
        """Whether scores are lower than those of the incumbent, of which there may be more."""
        if not rivals or mean(scores) >= mean(rivals):
            return False
        return _probability(tuple(score - rival for score, rival in zip(scores, rivals, strict=False))) < self.p

    def record(self) -> dict[str, Any]:
        """The rule as JSON values: another one makes another search."""
        return asdict(self)


def replicate_rule(stage: TuneStage) -> ReplicateRule | None:
    """The rule of `stages.tune.prune_replicates`; None where every setting trains all of them."""
    pruning = stage.prune_replicates
    return None if pruning is None else ReplicateRule(pruning.p, pruning.batch)


@functools.cache
def _probability(differences: tuple[float, ...]) -> float:
    """Of such differences, or lower ones, between two settings that are equally good."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences, alternative="less", zero_method="zsplit").pvalue)


def mean(scores: Sequence[float]) -> float:
    """Of exact sums."""
    return math.fsum(scores) / len(scores)
