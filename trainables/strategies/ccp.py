"""Chance-constrained training: a pair loss against proxies that are drawn again whenever an instance is solved."""

from typing import Any

import torch

from trainables.config import RunConfig
from trainables.metrics import sign
from trainables.strategies.base import Artifacts, no_artifacts
from trainables.strategies.ccp_fit import ProxyFit
from trainables.strategies.ccp_rounds import Rounds
from trainables.strategies.plain import Plain
from trainables.training.data import RunData


class CCP(Plain):
    """Instances of the proxy problem, one after the other (Gurbuz, Can and Alatan, WACV 2024, arXiv 2209.09060).

    After every evaluation: an improvement keeps the weights of network and proxies. When the instance is solved, the
    kept network becomes the anchor, and new proxies are chosen from images as the present network embeds them, the
    kept proxies counting as centers already. Optimizer moments, learning rate and schedule go on. The epoch that is
    reported is selected over all instances.

    The released code adds weight decay to the gradients before it clips them; here the optimizer adds it after. Its
    pool may go on with the queue of the pool before; here every pool starts anew.
    """

    fit: ProxyFit

    def __init__(
        self, run: RunConfig, data: RunData, all_classes: RunData, *, artifacts: Artifacts = no_artifacts
    ) -> None:
        super().__init__(run, data, all_classes, artifacts=artifacts)
        self.strategy = self.fit.strategy
        self.rounds = Rounds(self.strategy)
        self.kept: dict[str, Any] = {"epoch": 0, "weights": {}}
        self.anchor_epoch = 0

    def _new_fit(self, data: RunData, *, epochs: int) -> ProxyFit:
        return ProxyFit(self.run, data, epochs=epochs)

    def _evaluated(self, metrics: dict[str, float]) -> dict[str, float]:
        metric = self.run.protocol.select_by
        verdict = self.rounds.observe(sign(metric) * metrics[metric], epoch=self.fit.epoch)
        if verdict.improved:
            self.kept = {"epoch": self.fit.epoch, "weights": self.fit.weights()}
        if verdict.solved:
            self._begin_instance()
        return self._figures(reinitialized=verdict.solved)

    def _begin_instance(self) -> None:
        self.rounds.begin(epoch=self.fit.epoch)
        self.anchor_epoch, weights = self.kept["epoch"], self.kept["weights"]
        self.fit.set_anchor(weights.get("model", {}), weight=self.rounds.proximal_weight)
        seeds = torch.zeros_like(self.fit.proxies)
        if weights:
            seeds.copy_(weights["ccp"]["proxies"])
            if self.strategy.rollback == "best":
                self.fit.load_weights(weights)
        self.fit.draw_proxies(seeds, how=self.strategy.initialization)

    def _figures(self, *, reinitialized: bool) -> dict[str, float]:
        """State after the evaluation, for the epoch's row; radius and distance are those of the newest proxies."""
        radius, distance = self.fit.covering_radius, self.fit.class_distance
        return {
            "ccp_round": float(self.rounds.round),
            "ccp_reinitialized": float(reinitialized),
            "ccp_anchor_epoch": float(self.anchor_epoch),
            "ccp_proximal_weight": self.fit.proximal_weight,
            "ccp_steps": float(self.fit.steps),
            **({} if radius is None else {"ccp_covering_radius": radius}),
            **({} if distance is None else {"ccp_class_distance": distance}),
        }

    def state_dict(self) -> dict[str, Any]:
        own = {"rounds": self.rounds.state_dict(), "kept": self.kept, "anchor_epoch": self.anchor_epoch}
        return {**super().state_dict(), "ccp": own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        own = state["ccp"]
        self.rounds.load_state_dict(own["rounds"])
        self.kept, self.anchor_epoch = own["kept"], own["anchor_epoch"]
