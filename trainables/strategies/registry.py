"""The strategies by name. Free of torch: planning imports it."""

from trainables.parts import registered
from trainables.strategies.ccp_config import CCP
from trainables.strategies.config import Plain, StrategyConfig, Untrained
from trainables.strategies.ensemble_config import FoldEnsemble
from trainables.strategies.transfer_config import Transfer

STRATEGIES = registered(
    Plain,
    Untrained,
    CCP,
    Transfer,
    FoldEnsemble,
    base=StrategyConfig,
    group="dml_study.strategies",
)
