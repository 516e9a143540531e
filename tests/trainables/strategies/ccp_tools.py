"""What the tests of the strategy `ccp` share."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainables.config import RunConfig
from trainables.strategies.ccp import CCP
from trainables.strategies.ccp_fit import ProxyFit
from trainables.training.build import build_strategy
from trainables.training.data import load_run_data

CONFIG = {"name": "ccp", "proxies_per_class": 2, "pool_size": 5, "patience": 1, "proximal_weight": 0.1}
SHORT = {"normalize": "lipschitz"}
LOSSES: dict[str, dict[str, Any]] = {
    "c1": {**SHORT, "name": "contrastive", "distance": "cosine", "positive_margin": 1e-5, "reduction": "rows"},
    "c2": {**SHORT, "name": "contrastive", "positive_margin": 0.27, "negative_margin": 0.54},
    "triplet": {**SHORT, "name": "triplet", "margin": 0.1},
    "ms": {**SHORT, "name": "multi_similarity", "negative_scale": 40.0, "miner": "none"},
}


def with_sections(run: RunConfig, **sections: Any) -> RunConfig:
    return RunConfig.model_validate({**run.model_dump(), **sections})


def with_strategy(run: RunConfig, **fields: Any) -> RunConfig:
    return with_sections(run, strategy={**run.strategy.model_dump(), **fields})


def built(run: RunConfig, cache: Path) -> CCP:
    strategy = build_strategy(run, cache=cache)
    assert isinstance(strategy, CCP)
    return strategy


def fit_of(run: RunConfig, cache: Path) -> ProxyFit:
    return ProxyFit(run, load_run_data(run, cache=cache), epochs=6)


def by_class(fit: ProxyFit) -> Tensor:
    """[C, K, D]; row k * C + c has class c."""
    return torch.stack([fit.proxies.detach()[c :: fit.classes] for c in range(fit.classes)])


def assert_same(got: Any, wanted: Any) -> None:
    if isinstance(wanted, dict):
        assert got.keys() == wanted.keys()
        for key in wanted:
            assert_same(got[key], wanted[key])
    elif isinstance(wanted, list):
        for one, other in zip(got, wanted, strict=True):
            assert_same(one, other)
    elif isinstance(wanted, Tensor):
        assert torch.equal(got, wanted)
    else:
        assert got == wanted
