"""Where the time of one training step goes, for a head on cached features, conv4 and resnet50.

    python benchmarks/profile_step.py [--device cpu] [--model head conv4 resnet50] [--operators 8]

Parts: data (taking a batch, sending and augmenting it), forward (the network), loss (with its synthesis), backward,
optimizer, and the rest (rates of the schedule, scaler, Python in between). The device is done at the end of each part,
so on a GPU they add up to more than a step that nothing interrupts, which is shown too. `--operators` lists the torch
operators that take most, by torch's profiler.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alone import synchronize
from report import begin, kind, parser, show, with_device, write
from training import data_of, photos, run_on

if TYPE_CHECKING:
    from trainables.training.fit import Fit

PARTS = ("data", "forward", "loss", "backward", "optimizer", "rest")
MODELS: dict[str, dict[str, Any]] = {
    "head": {"backbone": {"name": "conv4", "trainable": False}},
    "conv4": {"backbone": {"name": "conv4"}},
    "resnet50": {"backbone": {"name": "resnet50"}},
}
SIZES = {"cpu": {"size": 64, "batch": 16, "steps": 4}, "cuda": {"size": 224, "batch": 128, "steps": 20}}


def main() -> None:
    options = with_device(parser(__doc__))
    options.add_argument("--model", nargs="+", choices=MODELS, default=list(MODELS))
    for name in ("size", "batch", "steps"):
        options.add_argument(f"--{name}", type=int, help=str({device: each[name] for device, each in SIZES.items()}))
    options.add_argument("--synthesis", default="proxy_synthesis", help="beside norm_softmax")
    options.add_argument("--operators", type=int, default=8, help="how many are listed")
    arguments = options.parse_args()
    for name, value in SIZES[arguments.device].items():
        setattr(arguments, name, getattr(arguments, name) or value)
    about = begin(arguments.device)
    with tempfile.TemporaryDirectory(prefix="profile-") as folder:
        found = {name: profiled(name, arguments, Path(folder)) for name in arguments.model}
    rows = [[name, *(each[part] for part in (*PARTS, "uninterrupted"))] for name, each in found.items()]
    show(["ms per step", *PARTS, "uninterrupted"], rows)
    for name, each in found.items():
        print(f"\n{name}")
        show(["operator", "ms per step", "calls"], each["operators"])
    sizes = {name: getattr(arguments, name) for name in ("size", "batch", "steps", "synthesis")}
    title = f"profile {kind(arguments.device, package='torch')}"
    write(arguments.json, title, {**about, **sizes, "ms per step": found})


def profiled(model: str, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    fit = fit_of(model, arguments, folder)
    batches = [batch for epoch in range(100) for batch in fit.stream.of(epoch) if len(batch) == arguments.batch]
    fit.model.train()
    for index in range(3):
        step(fit, batches, index)
    synchronize(arguments.device)
    start = time.perf_counter()
    for index in range(3, 3 + arguments.steps):
        step(fit, batches, index)
    synchronize(arguments.device)
    whole = 1000 * (time.perf_counter() - start) / arguments.steps
    operators = by_operator(fit, batches, arguments)
    return {**by_part(fit, batches, arguments), "uninterrupted": whole, "operators": operators}


def step(fit: "Fit", batches: list[Any], index: int) -> None:
    from trainables.step import Step

    fit.set_rates(index % 10, 10)
    fit._step(batches[index], Step(0, 0, index))


def fit_of(model: str, arguments: argparse.Namespace, folder: Path) -> "Fit":
    from trainables.training.fit import Fit

    images, cache = photos(folder, count=8 * arguments.batch, side=112), folder / "cache"
    run = run_on(
        images,
        cache=cache,
        image_size=arguments.size,
        device=arguments.device,
        synthesis={"name": arguments.synthesis},
        training={"batch_size": arguments.batch, "threads": arguments.threads},
        **MODELS[model],
    ).simplified()
    return Fit(run, data_of(run, cache=cache), epochs=1)


def by_part(fit: "Fit", batches: list[Any], arguments: argparse.Namespace) -> dict[str, float]:
    """Milliseconds per step of each part; the boundaries are the hooks of a fit, of its network and its optimizer."""
    total, last = dict.fromkeys(PARTS, 0.0), [0.0]

    def ends(part: str) -> None:
        synchronize(arguments.device)
        now = time.perf_counter()
        total[part] += 1000 * (now - last[0]) / arguments.steps
        last[0] = now

    inputs, objective = fit.training_inputs, fit.objective

    def then(part: str, function: Any) -> Any:
        def called(*given: Any) -> Any:
            result = function(*given)
            ends(part)
            return result

        return called

    fit.training_inputs = then("data", inputs)  # type: ignore[method-assign]
    fit.objective = then("loss", objective)  # type: ignore[method-assign]
    fit.edit_gradients = lambda: ends("backward")  # type: ignore[method-assign]
    handles = [
        fit.model.register_forward_hook(lambda *given: ends("forward")),
        fit.optimizer.register_step_pre_hook(lambda *given: ends("rest")),
        fit.optimizer.register_step_post_hook(lambda *given: ends("optimizer")),
    ]
    for index in range(3, 3 + arguments.steps):
        last[0] = time.perf_counter()
        step(fit, batches, index)
        ends("rest")
    for handle in handles:
        handle.remove()
    return total


def by_operator(fit: "Fit", batches: list[Any], arguments: argparse.Namespace) -> list[list[Any]]:
    """Name, milliseconds of its own and calls per step, the costliest first."""
    from torch.profiler import ProfilerActivity, profile

    cuda = [ProfilerActivity.CUDA] if arguments.device == "cuda" else []
    with profile(activities=[ProfilerActivity.CPU, *cuda]) as measured:
        for index in range(3, 3 + arguments.steps):
            step(fit, batches, index)
        synchronize(arguments.device)
    key = "self_device_time_total" if cuda else "self_cpu_time_total"
    averages = sorted(measured.key_averages(), key=lambda each: -getattr(each, key))[: arguments.operators]
    steps = arguments.steps
    return [[each.key[:60], getattr(each, key) / 1000 / steps, each.count / steps] for each in averages]


if __name__ == "__main__":
    main()
