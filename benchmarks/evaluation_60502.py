"""Retrieval metrics of as many embeddings as the test images of SOP, against faiss and AccuracyCalculator.

    python benchmarks/evaluation_60502.py [--items 60502] [--device cpu] [--threads 1]

60,502 embeddings of 512 dimensions in 11,316 classes, made up so that about half of them have a neighbour of their
class; every way in a process of its own, with the same embeddings. faiss is the search alone (IndexFlatIP, as many
neighbours as metrics need); AccuracyCalculator of pytorch-metric-learning searches with faiss and gives the same three
metrics. Papers report SOP at k = 1, 10, 100 and 1000 besides. Memory is what a way takes beside the embeddings. Needs
faiss: pip install "dml-study[benchmarks]".
"""

import argparse
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from alone import in_a_process, measured
from report import begin, kind, parser, show, with_device, write

if TYPE_CHECKING:
    from torch import Tensor

WIDTH, ITEMS, CLASSES = 512, 60_502, 11_316
METRICS = {"recall_at_1": "precision_at_1", "r_precision": "r_precision", "map_at_r": "mean_average_precision_at_r"}
"""Of ours, and what AccuracyCalculator calls them."""


def main() -> None:
    options = with_device(parser(__doc__))
    options.add_argument("--items", type=int, default=ITEMS)
    options.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.child:
        print(json.dumps(child(WAYS[arguments.child], arguments)))
        return
    about = begin(arguments.device)
    ways = [name for name in WAYS if arguments.device == "cpu" or name != "faiss"]
    shared = ["--items", str(arguments.items), "--device", arguments.device, "--threads", str(arguments.threads)]
    found = {name: in_a_process(["--child", name, *shared], threads=arguments.threads) for name in ways}
    report(found)
    title = f"evaluation {arguments.items} {kind(arguments.device, precision='float32', package='torch')}"
    write(arguments.json, f"{title} threads-{arguments.threads}", {**about, "items": arguments.items, "ways": found})


def child(way: "Callable[[Tensor, Tensor], dict[str, float]]", arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    from trainables.memory import keep_freed_memory

    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as runs do; for every way
    warm = made(200)
    way(warm[0].to(arguments.device), warm[1].to(arguments.device))  # libraries load and initialize
    embeddings, labels = (each.to(arguments.device) for each in made(arguments.items))
    metrics, costs = measured(lambda: way(embeddings, labels), device=arguments.device)
    return {**costs, "metrics": metrics}


def made(items: int) -> "tuple[Tensor, Tensor]":
    """Unit vectors around directions of classes of about five, in random order."""
    import torch

    source = torch.Generator().manual_seed(0)
    labels = torch.arange(items) % max(2, round(items * CLASSES / ITEMS))
    labels = labels[torch.randperm(items, generator=source)]
    directions = torch.randn(int(labels.max()) + 1, WIDTH, generator=source)
    vectors = torch.randn(items, WIDTH, generator=source).mul_(2.5).add_(directions[labels])
    return vectors.div_(vectors.norm(dim=1, keepdim=True)), labels


def ours(embeddings: "Tensor", labels: "Tensor", ks: Sequence[int] = (1,)) -> dict[str, float]:
    from trainables.evaluation.retrieval import retrieval_report

    return retrieval_report(embeddings, labels, ks=ks).metrics


def ours_as_in_papers(embeddings: "Tensor", labels: "Tensor") -> dict[str, float]:
    return ours(embeddings, labels, (1, 10, 100, 1000))


def faiss_alone(embeddings: "Tensor", labels: "Tensor") -> dict[str, float]:
    import faiss
    import torch

    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatIP(WIDTH)
    index.add(embeddings.numpy())
    index.search(embeddings.numpy(), int(labels.bincount().max()))
    return {}


def accuracy_calculator(embeddings: "Tensor", labels: "Tensor") -> dict[str, float]:
    import faiss
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    faiss.omp_set_num_threads(torch.get_num_threads())
    calculator = AccuracyCalculator(include=tuple(METRICS.values()), k="max_bin_count", device=embeddings.device)
    found = calculator.get_accuracy(embeddings, labels)
    return {name: float(found[other]) for name, other in METRICS.items()}


WAYS = {
    "dml-study": ours,
    "dml-study, Recall@1000 too": ours_as_in_papers,
    "faiss": faiss_alone,
    "AccuracyCalculator": accuracy_calculator,
}


def report(found: dict[str, dict[str, Any]]) -> None:
    rows = [[name, *(each[key] for key in ("wall", "cpu", "peak"))] for name, each in found.items()]
    show(["way", "wall s", "CPU s", "MiB"], rows)
    mine, other = found["dml-study"], found["AccuracyCalculator"]
    print(f"\ndml-study by AccuracyCalculator: {mine['cpu'] / other['cpu']:.2f} of the CPU time, ", end="")
    print(f"{mine['wall'] / other['wall']:.2f} of the time, {mine['peak'] / other['peak']:.2f} of the memory")
    gap = max(abs(mine["metrics"][name] - other["metrics"][name]) for name in METRICS)
    print(
        f"{', '.join(f'{name} {value:.4f}' for name, value in mine['metrics'].items())}; largest difference {gap:.1e}"
    )


if __name__ == "__main__":
    main()
