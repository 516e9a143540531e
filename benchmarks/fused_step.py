"""What a group of fused runs asks of torch and of Python, by the number of its runs.

    python benchmarks/fused_step.py [--runs 2 16 64] [--batch 128] [--only head conv4] [--json FOLDER]

On a GPU a step of small runs costs what the host needs to start it, and that can be measured on a CPU: operators of a
training step and of a validation (views left out, and draws of random numbers, which stay on the host), and CPU
milliseconds of a step. `inputs` is what the host does for the batches of a step: labels, draws, boxes of crops, pairs;
of images only one pixel is taken. `rates` are those of the optimiser. `start` is a fused step of 4 images per run,
`alone` that of one run by itself: with few runs that is the host's part of them.
"""

import tempfile
import time
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import report
from fused import with_shared_features

if TYPE_CHECKING:
    from trainables.config import RunConfig
    from trainables.fused.fit import FusedPlain
    from trainables.training.fit import Fit

HEAD: dict[str, Any] = {"backbone": {"name": "conv4", "width": 16, "trainable": False}}
CONV4: dict[str, Any] = {"backbone": {"name": "conv4", "width": 4}}
MODELS: dict[str, dict[str, Any]] = {
    "head": HEAD,
    "head, proxy_synthesis": {**HEAD, "synthesis": "proxy_synthesis"},
    "conv4": CONV4,
    "conv4, crops and flips": {**CONV4, "augmentation": {"crop_scale": (0.3, 1.0), "flip": True}},
    "conv4, proxy_synthesis": {**CONV4, "synthesis": "proxy_synthesis"},
}
SMALL: dict[int, Any] = {}
COLUMNS = ("operators, step", "operators, validation", "inputs ms", "rates ms", "start ms", "alone ms")


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[2, 16, 64])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--only", nargs="+", default=[""], help="models whose names begin so")
    arguments = parser.parse_args()
    about = report.begin()
    found: dict[str, dict[int, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="fused-step-") as folder:
        for model in [name for name in MODELS if name.startswith(tuple(arguments.only))]:
            found[model] = {
                count: measured(model, count, arguments.batch, repeat=arguments.repeat, cache=Path(folder))
                for count in arguments.runs
            }
            rows = [[str(count), *(row[column] for column in COLUMNS)] for count, row in found[model].items()]
            report.show([model, *COLUMNS], rows)
            print(flush=True)
    report.write(arguments.json, f"fused step {report.kind(package='torch')}", {**about, "models": found})


def measured(model: str, count: int, batch: int, *, repeat: int, cache: Path) -> dict[str, float]:
    from trainables.fused.fit import epoch_rates, train_together
    from trainables.fused.inputs import StackedInputs
    from trainables.fused.measuring import measure_together
    from trainables.fused.stack import Stack
    from trainables.step import Step
    from trainables.testing.operators import Operators

    fits = {slot: strategy.ready() for slot, strategy in enumerate(strategies(model, count, batch, cache))}
    stack = Stack(fits[0], count)
    train_together(stack, fits)  # what is made once is not counted
    with Operators() as training:
        train_together(stack, fits)
    with Operators() as validation:
        measure_together(stack, fits)
    batches = [fit.batches() for fit in fits.values()]
    steps, first = len(batches[0]), [each[0] for each in batches]
    small = [each[:4] for each in first]
    given = StackedInputs(fits, count).step(small, 0, dtype=stack.dtype)
    inputs = StackedInputs({slot: without_arithmetic(fit) for slot, fit in fits.items()}, count)
    rates = {name: values[0] for name, values in epoch_rates(stack, fits, steps).items()}
    numbers, alone = stack.numbers(fits), fits[0]
    found = {
        "inputs ms": milliseconds(lambda: inputs.step(first, 0, dtype=stack.dtype), repeat),
        "rates ms": milliseconds(lambda: epoch_rates(stack, fits, steps), repeat) / steps,
        "start ms": milliseconds(lambda: stack.step(given, rates, numbers), repeat),
        "alone ms": milliseconds(lambda: alone._step(small[0], Step(0, 0, 0)), repeat),
    }
    return {"operators, step": training.total / steps, "operators, validation": validation.total, **found}


def without_arithmetic(fit: "Fit") -> "Fit":
    """Of its images there is one pixel, and of features one number."""
    from trainables.training.inputs import Resident

    assert isinstance(fit.data.inputs, Resident)
    tensor = fit.data.inputs.tensor
    small = tensor[:, :1] if tensor.ndim == 2 else tensor[..., :1, :1].contiguous()
    changed = copy(fit)
    changed.data = replace(fit.data, inputs=SMALL.setdefault(id(tensor), Resident(small)))
    return changed


def strategies(model: str, count: int, batch: int, cache: Path) -> "list[FusedPlain]":
    from trainables.fused.fit import FusedPlain
    from trainables.training.build import build_strategy

    runs = [run_of(model, seed, batch, cache) for seed in range(count)]
    return [build_strategy(run, cache=cache, implementation=FusedPlain) for run in runs]  # type: ignore[misc]


def run_of(model: str, seed: int, batch: int, cache: Path) -> "RunConfig":
    from trainables.config import RunConfig
    from trainables.datasets import catalog

    dataset = {"name": "glyphs", "classes": 64, "images_per_class": 64, "image_size": 16}
    training = {"epochs": 9, "batch_size": batch, "steps_per_epoch": 6}
    content = {"dataset": dataset, "training": training, "seed": seed, **MODELS[model]}
    run = with_shared_features(RunConfig.model_validate(content), cache)
    return run.model_copy(update={"dataset": catalog.resolve(run.dataset, search=(), cache=cache)})


def milliseconds(work: Callable[[], object], repeat: int) -> float:
    """CPU time of a call, the least of `repeat`."""
    work()
    found = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found) * 1000


if __name__ == "__main__":
    main()
