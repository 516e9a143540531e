"""Proxy Synthesis of stacked runs: what each run draws for itself, filled up to one size, and the mixing of one run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.batch import Batch
from trainables.devices import sent
from trainables.losses.logits import IGNORED
from trainables.step import Step
from trainables.synthesis import config as configs
from trainables.synthesis.functional import mix_pairs
from trainables.synthesis.pairs import Pairs
from trainables.synthesis.proxy_synthesis import ProxySynthesis, draw_together
from trainables.training.fit import Fit

Stacked = dict[str, Tensor]
"""`Mixtures` of M runs: their fields [M, ...], and which rows [M, n] and classes [M, m] only fill up."""


def stacked_mixtures(fits: Sequence[Fit], labels: NDArray[np.int64], steps: Sequence[Step]) -> Stacked | None:
    """What runs draw for a step, as tensors on their device of a size that depends on the batch alone.

    So a run's numbers do not depend on what the others drew. None without Proxy Synthesis.

    Args:
        labels: [M, B].
    """
    parts = [fit.synthesis for fit in fits if isinstance(fit.synthesis, ProxySynthesis)]
    classes = fits[0].loss.classes
    if not parts or classes is None:
        return None
    drawn, device = draw_together(parts, labels, classes.count, steps), fits[0].data.device
    pairs = drawn.pairs
    content = {
        **dict(zip(("first", "second", "target"), pairs.samples, strict=True)),
        **dict(zip(("first_class", "second_class"), pairs.named, strict=True)),
        **({} if drawn.order is None else {"order": drawn.order}),
    }
    idle = {"idle_rows": pairs.idle_rows, "absent": pairs.idle_classes}
    stacked = _sent_at_once({**content, **idle}, device)
    return {**stacked, **{key: stacked[key].bool() for key in idle}, "weight": _sent(drawn.weight, device)}


def _sent_at_once(columns: dict[str, NDArray[Any]], device: torch.device) -> Stacked:
    """Integers [M, ...] by one copy."""
    whole = _sent(np.concatenate([column.astype(np.int64) for column in columns.values()], axis=1), device)
    pieces = torch.split(whole, [column.shape[1] for column in columns.values()], dim=1)
    return dict(zip(columns, pieces, strict=True))


def _sent(values: NDArray[Any], device: torch.device) -> Tensor:
    return sent(torch.from_numpy(values), device)


def mixed(batch: Batch, drawn: Stacked, config: configs.ProxySynthesis) -> tuple[Batch, Tensor | None]:
    """One run's batch with its mixtures, inside `vmap`; and bool [C + m], classes that only fill up."""
    embeddings, labels, classes = batch.embeddings, batch.labels, batch.classes
    assert classes is not None, "rules.refusal asks for proxies"
    if "order" in drawn:
        embeddings, labels = embeddings.index_select(0, drawn["order"]), labels.index_select(0, drawn["order"])
    pairs = Pairs(*(drawn[key] for key in ("first", "second", "target", "first_class", "second_class")))
    rows, targets, enlarged = mix_pairs(
        embeddings, labels, classes, pairs, mixing_weight=drawn["weight"], synthesize=config.synthesize
    )
    if config.synthesize != "proxies":
        idle = torch.cat([torch.zeros_like(labels, dtype=torch.bool), drawn["idle_rows"]])
        targets = torch.where(idle, IGNORED, targets)
    if config.synthesize == "embeddings":
        return Batch(rows, targets, enlarged), None
    real = torch.zeros(classes.count, dtype=torch.bool, device=rows.device)
    absent = torch.cat([real, drawn["absent"]])
    return Batch(rows, targets, enlarged, excluded=absent.expand(len(rows), -1)), absent
