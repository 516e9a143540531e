"""Proxy Synthesis of stacked runs: what each run draws for itself, filled up to one size, and the mixing of one run."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.batch import Batch
from trainables.losses.logits import IGNORED
from trainables.synthesis import config as configs
from trainables.synthesis.functional import mix_pairs
from trainables.synthesis.pairs import Pairs, official_counts, synthetic_count
from trainables.synthesis.proxy_synthesis import Mixtures

Stacked = dict[str, Tensor]
"""`Mixtures` of M runs: their fields [M, ...], and which rows [M, n] and classes [M, m] only fill up."""


def stacked_mixtures(
    drawn: Sequence[Mixtures], config: configs.ProxySynthesis, *, batch: int, classes: int, device: torch.device
) -> Stacked:
    """What runs drew for a step, as tensors of a size that depends on the batch alone.

    So a run's numbers do not depend on what the others drew.
    """
    rows, added = _sizes(config, batch, classes)
    pairs = [each.pairs for each in drawn]
    content = {
        "first": _filled([pair.first for pair in pairs], rows),
        "second": _filled([pair.second for pair in pairs], rows),
        "target": _filled([pair.target for pair in pairs], rows),
        "idle_rows": _beyond([len(pair.first) for pair in pairs], rows),
        "first_class": _filled([pair.first_class for pair in pairs], added),
        "second_class": _filled([pair.second_class for pair in pairs], added),
        "absent": _beyond([len(pair.first_class) for pair in pairs], added),
        "weight": _filled([_weights(each) for each in drawn], added),
    }
    if config.compat == "official":
        content["order"] = torch.stack([each.order for each in drawn if each.order is not None])
    return {key: value.to(device, non_blocking=True) for key, value in content.items()}


def _sizes(config: configs.ProxySynthesis, batch: int, classes: int) -> tuple[int, int]:
    if config.compat == "official":
        return official_counts(config.ratio, batch, classes)
    return (synthetic_count(config.ratio, batch),) * 2


def _weights(drawn: Mixtures) -> Tensor:
    count = len(drawn.pairs.first_class)
    return drawn.weight if isinstance(drawn.weight, Tensor) else torch.full((count,), drawn.weight, dtype=torch.float64)


def _filled(values: Sequence[Tensor], size: int) -> Tensor:
    return torch.stack([torch.nn.functional.pad(value, (0, size - len(value))) for value in values])


def _beyond(counts: Sequence[int], size: int) -> Tensor:
    return torch.arange(size) >= torch.tensor(counts)[:, None]


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
