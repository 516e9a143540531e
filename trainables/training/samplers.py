"""Which images make a batch. A sampler is a function of the seed and the epoch, so there is no position to save.

Every sampler gets the classes of the training images and their continuous labels, where they have any. What it calls
an epoch is one pass over them; `Batches` cuts passes into epochs of another length.
"""

from bisect import bisect_right
from collections.abc import Callable

import numpy as np

from trainables.datasets.targets import Targets
from trainables.errors import ConfigError
from trainables.randomness import numpy_generator
from trainables.training.config import Balanced, Shuffled

Pass = list[np.ndarray]


class Batches:
    """Batches by epoch: a pass each, or the next `steps` of one pass after the other.

    A function of the epoch alone: what is remembered of earlier passes only spares drawing them again.
    """

    def __init__(self, draw: Callable[[int], Pass], *, steps: int | None = None) -> None:
        """
        Args:
            draw: the batches of a pass, one at least.
            steps: of an epoch; where empty an epoch is one pass.
        """
        self._draw, self._steps = draw, steps
        self._starts = [0]
        self._newest: tuple[int, Pass] = (-1, [])

    def of(self, epoch: int) -> Pass:
        """The batches of an epoch (from 0), in order."""
        if self._steps is None:
            return self._draw(epoch)
        start = epoch * self._steps
        number = self._pass_at(start)
        found = self._pass(number)[start - self._starts[number] :]
        while len(found) < self._steps:
            number += 1
            found = [*found, *self._pass(number)]
        return found[: self._steps]

    def _pass_at(self, step: int) -> int:
        """The pass that a step falls into; passes may differ in length."""
        while self._starts[-1] <= step:
            self._pass(len(self._starts) - 1)
        return bisect_right(self._starts, step) - 1

    def _pass(self, number: int) -> Pass:
        if self._newest[0] != number:
            self._newest = number, self._draw(number)
        if number == len(self._starts) - 1:
            self._starts.append(self._starts[-1] + len(self._newest[1]))
        return self._newest[1]


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
