"""What a run's synthesis adds to its final embeddings: for pictures of the embedding space."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.export.kept_run import KeptRun
from trainables.export.proxies import ClassProxies
from trainables.step import Step
from trainables.synthesis import config as mixing
from trainables.synthesis import l2a_config, memory_config
from trainables.synthesis.base import Space, Synthesis
from trainables.synthesis.l2a import L2A
from trainables.synthesis.proxy_synthesis import ProxySynthesis

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SyntheticRows:
    """Attributes:
    name: what the synthesis calls them: "synthetic" mixtures, "virtual" classes, "generated" embeddings.
    about: what their classes are.
    embeddings: [S, D].
    proxies: [P, D], of the classes that they belong to.
    """

    name: str
    about: str
    embeddings: Floats
    proxies: Floats


@dataclass(frozen=True)
class PastStep:
    """One step of MemVir's queue.

    Attributes:
        age: in steps of the optimizer, before the end of the selected epoch.
        embeddings: [b, D]; b = 0 where only weights are remembered.
        labels: [b] index into the training classes.
        proxies: [C * K, D]; no rows where only embeddings are remembered.
    """

    age: int
    embeddings: Floats
    labels: NDArray[np.int64]
    proxies: Floats


def synthetic_rows(
    kept: KeptRun, embeddings: Floats, labels: NDArray[np.int64], proxies: ClassProxies
) -> SyntheticRows | None:
    """Rows and classes beside these: mixtures of them by `proxy_synthesis`, what the generator of `l2a` makes, the same
    classes at past steps of `memvir`. None for another synthesis, and where the run kept nothing of it.

    Args:
        embeddings: [B, D] raw, in one batch.
        labels: [B] index into the classes of `proxies`.
    """
    config = kept.config.synthesis
    if isinstance(config, memory_config.MemVir):
        return _virtual(past_steps(kept), np.unique(labels), proxies.weights.shape[1])
    if isinstance(config, mixing.ProxySynthesis):
        synthesis: Synthesis = ProxySynthesis(config, _space(kept, proxies, len(labels)))
        return _enlarged("synthetic", "pairs of seen", synthesis, embeddings, labels, proxies)
    if isinstance(config, l2a_config.L2A) and (parts := kept.synthesis_parts()):
        synthesis = L2A(config, _space(kept, proxies, len(labels)))
        synthesis.take_up(parts)
        return _enlarged("generated", "novel", synthesis, embeddings, labels, proxies)
    return None


def past_steps(kept: KeptRun) -> list[PastStep]:
    """The steps of MemVir's queue that a run kept, the latest first."""
    return [_past_step(each) for each in kept.synthesis_parts().get("past", ())]


def _past_step(entry: dict[str, Any]) -> PastStep:
    return PastStep(
        int(entry["age"]),
        entry["embeddings"].float().numpy(),
        entry["labels"].numpy().astype(np.int64),
        entry["weights"].float().numpy(),
    )


def _virtual(past: Sequence[PastStep], classes: NDArray[np.int64], centers: int) -> SyntheticRows | None:
    if not past:
        return None
    rows = [step.embeddings[np.isin(step.labels, classes)] for step in past]
    wanted = (classes[:, None] * centers + np.arange(centers)).ravel()
    proxies = [step.proxies[wanted] if len(step.proxies) else step.proxies for step in past]
    return SyntheticRows("virtual", "seen, at past steps", np.concatenate(rows), np.concatenate(proxies))


def _space(kept: KeptRun, proxies: ClassProxies, rows: int) -> Space:
    count, centers, width = proxies.weights.shape
    has_bias = kept.config.loss.has_bias
    return Space(count, width, centers_per_class=centers, has_bias=has_bias, batch_size=rows, seed=kept.config.seed)


@torch.no_grad()
def _enlarged(
    name: str, about: str, synthesis: Synthesis, embeddings: Floats, labels: NDArray[np.int64], proxies: ClassProxies
) -> SyntheticRows:
    """What a step of the synthesis adds to a batch of all rows."""
    space = synthesis.space
    own = space.num_classes * space.centers_per_class
    weights = torch.from_numpy(proxies.weights.reshape(own, space.embedding_dim))
    bias = torch.zeros(space.num_classes) if space.has_bias else None
    order = np.random.default_rng(space.seed).permutation(len(labels))
    batch = Batch(
        torch.from_numpy(embeddings[order]),
        torch.from_numpy(labels[order]),
        Classes(weights, bias, centers_per_class=space.centers_per_class),
    )
    made = synthesis.enlarge(batch, Step(space.seed, 0, 0))
    assert made.classes is not None
    return SyntheticRows(name, about, made.embeddings[len(labels) :].numpy(), made.classes.weights[own:].numpy())
