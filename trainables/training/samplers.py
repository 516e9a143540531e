"""Which images make a batch. A sampler is a function of the seed and the epoch, so there is no position to save.

Every sampler gets the classes of the training images and their continuous labels, where they have any.
"""

import numpy as np

from trainables.datasets.targets import Targets
from trainables.errors import ConfigError
from trainables.randomness import numpy_generator
from trainables.training.config import Balanced, Shuffled


def shuffled(
    config: Shuffled, labels: np.ndarray, *, batch_size: int, seed: int, epoch: int, targets: Targets | None = None
) -> list[np.ndarray]:
    """Every position of `labels` once, in random order, cut into batches.

    Returns:
        Integer arrays of positions in `labels` [N]; the last may be shorter unless `drop_last` (a set smaller than a
        batch is one batch). A last batch of one image is left out: batch norm cannot train on it.
    """
    order = numpy_generator(seed, "sampler", epoch).permutation(len(labels))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    smallest = batch_size if config.drop_last and len(batches) > 1 else 2
    return [batch for batch in batches if len(batch) >= smallest]


def balanced(
    config: Balanced, labels: np.ndarray, *, batch_size: int, seed: int, epoch: int, targets: Targets | None = None
) -> list[np.ndarray]:
    """floor(N / batch_size) batches of batch_size / images_per_class classes with as many distinct images each.

    Classes that are smaller than `images_per_class` give all their images, and go around again.

    Raises:
        ConfigError: the batch size is no multiple of `images_per_class`, or there are too few classes.
    """
    classes, counts = np.unique(labels, return_counts=True)
    classes_per_batch, rest = divmod(batch_size, config.images_per_class)
    if rest or classes_per_batch > len(classes):
        raise ConfigError(
            f"sampler 'balanced': training.batch_size {batch_size} needs {batch_size / config.images_per_class:g} "
            f"classes of {config.images_per_class} images, and the training set has {len(classes)} classes"
        )
    random = numpy_generator(seed, "sampler", epoch)
    by_class = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
    members = dict(zip(classes.tolist(), by_class, strict=True))

    def draw(label: int) -> np.ndarray:
        pool = members[label]
        if len(pool) < config.images_per_class:
            return np.resize(random.permutation(pool), config.images_per_class)
        return random.choice(pool, config.images_per_class, replace=False)

    return [
        np.concatenate([draw(label) for label in random.choice(classes, classes_per_batch, replace=False)])
        for _ in range(max(1, len(labels) // batch_size))
    ]
