"""Dense triplet mining: batches of one anchor and what is near and far from it in label."""

import numpy as np
from numpy.typing import NDArray

from trainables.datasets.targets import Targets
from trainables.errors import ConfigError
from trainables.randomness import numpy_generator
from trainables.training.config import Dense

__all__ = ["dense"]

Positions = NDArray[np.int64]


def dense(
    config: Dense,
    labels: Positions,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    targets: Targets | None = None,
) -> list[Positions]:
    """One batch per anchor: the anchor, `nearest` of the `pool` nearest images in label, and others from beyond.

    All within the anchor's group and in ascending order of label distance; images at the same distance stand in random
    order. A group that is smaller than a batch gives all it has; one without an image beyond the pool has no anchors.

    Args:
        labels: [N], classes of the training images; only their number matters.
        targets: continuous labels [N] of the training images.

    Returns:
        Positions in `labels`, the anchor first; anchors in random order, all of them or `anchors_per_epoch`.

    Raises:
        ConfigError: the images have no continuous labels, or every group is too small.

    Source: Kim et al., "Deep Metric Learning Beyond Binary Supervision", CVPR 2019, dense triplet mining;
    ranks 0..k-1 and B - k - 1 uniform ones beyond, as in the authors' code.
    """
    if targets is None or len(targets) != len(labels):
        raise ConfigError("sampler 'dense' draws by label distance: the training images need continuous labels")
    random = numpy_generator(seed, "sampler", epoch)
    members = _groups(targets, smallest=config.smallest_group)
    anchors = [anchor for anchor in random.permutation(len(labels)) if int(targets.group[anchor]) in members]
    if not anchors:
        raise ConfigError(
            f"sampler 'dense': every group of labels has fewer than {config.smallest_group} images; lower "
            "sampler.nearest and sampler.pool, or make labels comparable in wider groups"
        )
    return [
        _batch(config, targets, anchor, members[int(targets.group[anchor])], random, batch_size)
        for anchor in anchors[: config.anchors_per_epoch]
    ]


def _groups(targets: Targets, *, smallest: int) -> dict[int, Positions]:
    """Positions of every group that is large enough."""
    groups, counts = np.unique(targets.group, return_counts=True)
    by_group = np.split(np.argsort(targets.group, kind="stable"), np.cumsum(counts)[:-1])
    pairs = zip(groups.tolist(), by_group, strict=True)
    return {group: positions for group, positions in pairs if len(positions) >= smallest}


def _batch(
    config: Dense, targets: Targets, anchor: np.int64, members: Positions, random: np.random.Generator, size: int
) -> Positions:
    others = random.permutation(members[members != anchor])
    ranked = others[np.argsort(targets.distances(int(anchor), others), kind="stable")]
    pool = min(config.pool or config.nearest, len(ranked))
    near = _ranks(random, 0, pool, config.nearest)
    far = _ranks(random, pool, len(ranked), size - 1 - len(near))
    return np.concatenate([[anchor], ranked[near], ranked[far]])


def _ranks(random: np.random.Generator, start: int, stop: int, count: int) -> Positions:
    """`count` of the ranks start..stop-1, or all where there are fewer, ascending."""
    available = stop - start
    return start + np.sort(random.choice(available, min(count, available), replace=False))
