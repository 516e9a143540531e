"""What every registered synthesis must do; a new entry of the registry is tested by being there."""

from typing import Any

import pytest

from trainables.synthesis.config import SynthesisConfig
from trainables.synthesis.registry import SYNTHESES
from trainables.testing.syntheses import SynthesisContract

SMALL: dict[str, list[dict[str, Any]]] = {
    "proxy_synthesis": [
        {},
        {"ratio": 1.5, "mixing": "pair", "pairing": "permutation", "synthetic_classes": "pair"},
        {"pairing": "nearest_proxy", "synthesize": "proxies", "mixing": "pair"},
        {"synthesize": "embeddings"},
    ],
    "memvir": [
        {"steps": 2, "gap": 1},
        {"steps": 2, "gap": 0, "warmup_epochs": 1, "curriculum": "jump", "reduction": "mean_current"},
        {"steps": 3, "gap": 1, "memory": "weights"},
        {"steps": 3, "gap": 1, "memory": "embeddings", "reduction": "mean_current"},
    ],
    "l2a": [
        {
            "generator_steps": 2,
            "generator_batch_size": 8,
            "critic_steps": 1,
            **dict.fromkeys(("noise_dim", "condition_dim", "generator_width", "critic_width"), 4),
        }
    ],
}
"""Configurations that act within a few small steps; the others are tested with their defaults."""

CASES = [(name, fields) for name in sorted(SYNTHESES) for fields in SMALL.get(name, [{}])]


class TestRegisteredSyntheses(SynthesisContract):
    @pytest.fixture(params=CASES, ids=[f"{name}-{number}" for number, (name, _) in enumerate(CASES)])
    def config(self, request: pytest.FixtureRequest) -> SynthesisConfig:
        name, fields = request.param
        config = SYNTHESES[name].model_validate({"name": name, **fields})
        assert isinstance(config, SynthesisConfig)
        return config
