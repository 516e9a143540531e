"""Milliseconds and memory of one step of each loss and each synthesis, by the number of classes.

    python benchmarks/step_cost.py [--device cpu] [--classes 100 11318 100000] [--only memvir]

A step is forward pass, backward pass and Adam on the proxies, for a batch of 128 embeddings of 512 dimensions. Memory
is what a step takes at its highest beside what stays (proxies, Adam's two moments, a queue of past steps). `whole`
holds matrices of rows by classes however large, `as shipped` no more than `trainables.losses.bounded.LIMIT` entries of
one, `in pieces` a thirty-second of that: what it costs to compute pieces again in the backward pass, and what it saves.
On a CPU the milliseconds are of CPU time. What would hold more than `--memory` GiB is not measured.
"""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from alone import alone, measured
from report import begin, kind, parser, show, with_device, write

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH, WIDTH = 128, 512
MEMORY = {"cpu": 5.0, "cuda": 100.0}
WAYS: dict[str, float] = {"as shipped": 1.0, "whole": float("inf"), "in pieces": 1 / 32}
"""Multiples of `LIMIT`."""
PROXY_LOSSES = (
    *("norm_softmax", "softmax", "proxy_nca", "proxy_nca_pp", "proxy_anchor", "soft_triple"),
    *("cosface", "arcface", "sphereface", "curricularface"),
)
PAIR_LOSSES = ("contrastive", "triplet", "multi_similarity", "margin")
SYNTHESES: dict[str, dict[str, Any]] = {
    "proxy_synthesis": {},
    "memvir, N 4": {"steps": 4, "gap": 0},
    "memvir, N 45": {"steps": 45, "gap": 0},
    "l2a": {"generator_steps": 1},
    "virtual_softmax": {},
    "input_mixup": {},
}
"""With norm_softmax; the name of the part, and what is not its default."""


def main() -> None:
    options = with_device(parser(__doc__))
    options.add_argument("--classes", type=int, nargs="+", default=[100, 11_318, 100_000])
    options.add_argument("--steps", type=int, default=2, help="the fastest counts")
    options.add_argument("--memory", type=float, help=f"GiB that may be held: {MEMORY}")
    options.add_argument("--work", type=float, default=0.5, help="10^12 products that a step may need on a CPU")
    options.add_argument("--only", default="", help="what begins so")
    arguments = options.parse_args()
    arguments.memory = arguments.memory or MEMORY[arguments.device]
    about = begin(arguments.device)
    found = all_of(arguments)
    report(found, arguments.classes)
    title = f"step cost {kind(arguments.device, precision='float32', package='torch')}"
    sizes = {"batch": BATCH, "width": WIDTH, "classes": arguments.classes, "steps": arguments.steps}
    write(arguments.json, title, {**about, **sizes, "steps by way": found})


def all_of(arguments: argparse.Namespace) -> dict[str, dict[str, dict[str, Any]]]:
    """By name, then by classes and way: milliseconds and MiB of a step."""
    import trainables.training.fit  # noqa: F401 - loaded once for all processes that are forked

    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in (name for name in (*PROXY_LOSSES, *PAIR_LOSSES, *SYNTHESES) if name.startswith(arguments.only)):
        counts = arguments.classes[:1] if name in PAIR_LOSSES else arguments.classes
        ways = WAYS if name in WITH_WAYS else list(WAYS)[:1]
        cases = [(count, way) for count in counts for way in ways if fits(name, count, way, arguments)]
        found[name] = {}
        for count, way in cases:
            found[name][f"{count} {way}"] = costs = alone(step_of, name, count, way, arguments)
            print(f"{name}, {count} classes, {way}: {costs['ms']:.1f} ms", file=sys.stderr, flush=True)
    return found


WITH_WAYS = ("norm_softmax", "proxy_anchor", "soft_triple", "proxy_synthesis", "memvir, N 4", "memvir, N 45")


def fits(name: str, classes: int, way: str, arguments: argparse.Namespace) -> bool:
    """Whether the step is small enough for this machine."""
    past = SYNTHESES.get(name, {}).get("steps", 0)
    rows, columns = BATCH * (past + 1), _centers(name) * classes * (past + 1)
    held = 4 * WIDTH * (4 * _centers(name) * classes + past * (classes + BATCH) + columns)
    matrix = 4 * 5 * rows * columns * (way == "whole")
    works = arguments.device == "cuda" or rows * columns * WIDTH * 4 < arguments.work * 1e12
    return held + matrix < arguments.memory * 2**30 and works


def _centers(name: str) -> int:
    from trainables.losses.registry import LOSSES

    return LOSSES[name]().centers if name in LOSSES else 1


def step_of(name: str, classes: int, way: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Milliseconds and MiB of the steps of one case, the first ones not counted: they fill queues and moments."""
    import torch

    from trainables.losses import bounded

    torch.set_num_threads(arguments.threads)
    bounded.LIMIT = int(min(_SHIPPED * WAYS[way], 2**62))
    step = stepping(name, classes, torch.device(arguments.device))
    warm = SYNTHESES.get(name, {}).get("steps", 1) + 1
    for index in range(warm):
        step(index)
    costs = [
        measured(lambda index=index: step(index), device=arguments.device)[1]
        for index in range(warm, warm + arguments.steps)
    ]
    milliseconds = 1000 * min(each["cpu" if arguments.device == "cpu" else "wall"] for each in costs)
    return {"ms": milliseconds, "peak": max(each["peak"] for each in costs)}


_SHIPPED = 2**25


def stepping(name: str, classes: int, device: Any) -> "Callable[[int], None]":
    """A function that does the step of an index."""
    import torch

    from trainables.batch import Batch
    from trainables.losses.module import BaseLoss
    from trainables.losses.registry import LOSSES
    from trainables.parts import load_implementation
    from trainables.step import Step
    from trainables.synthesis.base import Space
    from trainables.synthesis.registry import SYNTHESES as KNOWN
    from trainables.training.config import Adam
    from trainables.training.optimizer import build_optimizer

    source = torch.Generator().manual_seed(0)
    inputs = torch.randn(BATCH, WIDTH, generator=source).to(device).requires_grad_()
    labels = (torch.randperm(classes, generator=source)[:32].repeat(BATCH))[:BATCH]
    loss = LOSSES[name if name in LOSSES else "norm_softmax"]()
    base = BaseLoss(loss, num_classes=classes, embedding_dim=WIDTH, seed=0).to(device)
    part = name.split(",", maxsplit=1)[0] if name in SYNTHESES else "none"
    limit = {"memory_limit": 2**62} if part == "memvir" else {}
    config = KNOWN[part](**SYNTHESES.get(name, {}), **limit)
    space = Space(classes, WIDTH, loss.centers, loss.has_bias, BATCH, device=device)
    synthesis = load_implementation(config)(config, space)
    parameters = [*base.parameters(), *synthesis.parameters()]
    synthesis.begin_epoch(1, lambda: (inputs.detach(), labels.to(device)), base)
    optimizer = build_optimizer(Adam(), backbone=(), head=(), proxies=parameters) if parameters else None

    def step(index: int) -> None:
        place = Step(0, 1, index)
        embeddings = synthesis.embed(torch.nn.Identity(), inputs, place)
        value = synthesis.loss(base, Batch.of(embeddings, labels, base.classes), place)
        inputs.grad = None
        if optimizer is not None:
            optimizer.zero_grad(set_to_none=True)
        value.backward()
        if optimizer is not None:
            optimizer.step()

    return step


def report(found: dict[str, dict[str, dict[str, Any]]], classes: list[int]) -> None:
    rows = [
        [name, way, *(cases.get(f"{count} {way}", {}).get(key) for count in classes for key in ("ms", "peak"))]
        for name, cases in found.items()
        for way in (WAYS if name in WITH_WAYS else list(WAYS)[:1])
    ]
    head = [f"{count:,} {unit}" for count in classes for unit in ("ms", "MiB")]
    show(["step", "way", *head], rows)


if __name__ == "__main__":
    main()
