"""What a synthesis would make of a run's final embeddings, where that follows from the embeddings and proxies alone."""

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.config import RunConfig
from trainables.export.proxies import ClassProxies
from trainables.step import Step
from trainables.synthesis.base import Space
from trainables.synthesis.config import ProxySynthesis as ProxySynthesisConfig
from trainables.synthesis.proxy_synthesis import ProxySynthesis


def synthetic_rows(
    run: RunConfig, embeddings: NDArray[np.float32], labels: NDArray[np.int64], proxies: ClassProxies
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Synthetic embeddings [S, D] and the proxies [P, D] of synthetic classes; None for a synthesis other than
    `proxy_synthesis`, which keeps a memory or networks that a run's weights do not hold.

    Args:
        embeddings: [B, D] raw, in one batch.
        labels: [B] index into the classes of `proxies`.
    """
    if not isinstance(run.synthesis, ProxySynthesisConfig):
        return None
    count, centers, width = proxies.weights.shape
    weights = torch.from_numpy(proxies.weights.reshape(count * centers, width))
    space = Space(count, width, centers_per_class=centers, batch_size=len(labels), seed=run.seed)
    order = np.random.default_rng(run.seed).permutation(len(labels))
    batch = Batch(
        torch.from_numpy(embeddings[order]),
        torch.from_numpy(labels[order]),
        Classes(weights, centers_per_class=centers),
    )
    made = ProxySynthesis(run.synthesis, space).enlarge(batch, Step(run.seed, 0, 0))
    assert made.classes is not None
    return made.embeddings[made.real_rows :].numpy(), made.classes.weights[count * centers :].numpy()
