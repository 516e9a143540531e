"""What the slots of a stack see, taken, cropped and drawn for all of them at once.

A slot without a fit sees what the first fit does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from trainables.datasets.augmentation import Draws, augmented, draw
from trainables.devices import sent
from trainables.fused.mixing import stacked_mixtures
from trainables.fused.stack import StepInputs
from trainables.step import Step
from trainables.training.data import RunData
from trainables.training.embedding import formatted
from trainables.training.fit import Fit
from trainables.training.inputs import Inputs, Resident


@dataclass(frozen=True)
class OwnFeatures:
    """Features of backbones with random weights, other ones for every run: it takes its equal part of the positions."""

    parts: Sequence[Inputs]
    device: torch.device

    @property
    def shape(self) -> tuple[int, ...]:
        return self.parts[0].shape

    def take(self, positions: np.ndarray) -> Tensor:
        pieces = zip(self.parts, np.split(positions, len(self.parts)), strict=True)
        return torch.cat([sent(part.take(piece), self.device) for part, piece in pieces])

    def expect(self, batches: Iterable[np.ndarray]) -> None:
        """Nothing: they are all here."""


def _of_all(runs: Sequence[RunData]) -> Inputs:
    """Images are those of one dataset, and so are features from one file."""
    first, sources = runs[0], {id(run.inputs.tensor) for run in runs if isinstance(run.inputs, Resident)}
    own = first.cached_features and len(sources) > 1
    return OwnFeatures([run.inputs for run in runs], first.device) if own else first.inputs


class StackedInputs:
    """What the slots see in the epoch to come of fits of equal shapes and equal progress."""

    def __init__(self, fits: Mapping[int, Fit], size: int) -> None:
        """Args: size: number of slots M."""
        first = next(iter(fits.values()))
        self._fits = [fits.get(slot, first) for slot in range(size)]
        self._first = first
        self.data: RunData = replace(first.data, inputs=_of_all([fit.data for fit in self._fits]))

    def expect(self, batches: Sequence[Sequence[np.ndarray]]) -> None:
        """Announces an epoch's batches of the slots."""
        self.data.inputs.expect(self._positions(each) for each in batches)

    def _positions(self, batches: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([fit.data.split.train[each] for fit, each in zip(self._fits, batches, strict=True)])

    def step(self, batches: Sequence[np.ndarray], index: int, *, dtype: torch.dtype) -> StepInputs:
        """Of step `index` (from 0), for training positions of every slot."""
        steps = [Step(fit.run.seed, fit.epoch, index) for fit in self._fits]
        chosen = zip(self._fits, batches, strict=True)
        labels = np.stack([fit.data.split.train_labels[batch] for fit, batch in chosen])
        return StepInputs(
            inputs=torch.unflatten(self._images(self._positions(batches), steps), 0, (len(steps), -1)).to(dtype),
            labels=sent(torch.from_numpy(labels), self.data.device),
            mixtures=stacked_mixtures(self._fits, labels, steps),
        )

    def _images(self, positions: np.ndarray, steps: Sequence[Step]) -> Tensor:
        inputs = self.data.batch(positions)
        if self.data.cached_features:
            return inputs
        config, count = self._first.run.augmentation, len(positions) // len(steps)
        drawn = steps if config.crops or config.flip else ()
        draws = Draws.joined([draw(count, config, step.generator("augmentation")) for step in drawn])
        return formatted(self._first.run, augmented(inputs, config, draws, shapes=self.data.shapes(positions)))

    def evaluated(self, chunks: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """[M, B, ...] of each chunk: the same positions by every slot, as evaluation sees them."""
        slots = len(self._fits)
        copies = slots if isinstance(self.data.inputs, OwnFeatures) else 1
        self.data.inputs.expect(np.tile(chunk, copies) for chunk in chunks)
        for chunk in chunks:
            inputs = self.data.evaluation_batch(np.tile(chunk, copies))
            shown = inputs if self.data.cached_features else formatted(self._first.run, inputs)
            yield torch.unflatten(shown, 0, (copies, -1)).expand(slots, *[-1] * shown.ndim)
