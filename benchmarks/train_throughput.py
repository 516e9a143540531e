"""Images per second of training, against the same model without its data, and against the plain loop of papers' code.

    python benchmarks/train_throughput.py [--device cpu] [--backbone conv4 ...] [--precision bfloat16] [--compile]

- dml-study: a `Fit` on decoded photos: random crops and flips on the device, then the step;
- the limit: the same steps on one batch that lies on the device, without augmentation;
- plain loop: a DataLoader whose workers decode JPEG files with PIL, torchvision's RandomResizedCrop and
  RandomHorizontalFlip, the network in float32, layout as torch's default, norm-softmax, Adam.

The plain loop decodes photos of `--photo` pixels; its first batches, which workers have ready, are not counted.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from alone import synchronize
from report import begin, kind, parser, show, with_device, write
from training import BACKBONES, backbone_of, data_of, photos, run_on

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.config import RunConfig
    from trainables.training.data import RunData
    from trainables.training.fit import Fit

SIZES = {
    "cpu": {"size": 64, "batch": 16, "steps": 3, "photo": 112},
    "cuda": {"size": 224, "batch": 128, "steps": 40, "photo": 448},
}
"""By device: side of what the network sees, images of a batch, steps that are counted, side of the photos on disk."""
WAYS = ("dml-study", "the limit", "plain loop")


def main() -> None:
    import os

    options = with_device(parser(__doc__))
    options.add_argument("--backbone", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    options.add_argument("--precision", choices=("float32", "bfloat16", "float16"), help="the device's own by default")
    options.add_argument("--compile", action="store_true", help="training.compile")
    options.add_argument("--workers", type=int, default=max(1, min(8, (os.cpu_count() or 1) - 1)), help="plain loop's")
    for name in ("size", "batch", "steps", "photo"):
        options.add_argument(f"--{name}", type=int, help=str({device: each[name] for device, each in SIZES.items()}))
    options.add_argument("--repeat", type=int, default=1, help="the best counts")
    options.add_argument("--skip", nargs="*", choices=WAYS, default=[], help="ways that are not measured")
    arguments = options.parse_args()
    for name, value in SIZES[arguments.device].items():
        setattr(arguments, name, getattr(arguments, name) or value)
    arguments.precision = arguments.precision or {"cpu": "float32", "cuda": "bfloat16"}[arguments.device]
    about = begin(arguments.device)
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        found = {name: measured(name, arguments, Path(folder)) for name in arguments.backbone}
    report(found)
    sizes = {name: getattr(arguments, name) for name in _TOLD}
    title = f"throughput {kind(arguments.device, precision=arguments.precision, package='torch')}"
    compiled = " compiled" if arguments.compile else ""
    write(arguments.json, title + compiled, {**about, **sizes, "images per second": found})


_TOLD = ("size", "batch", "steps", "photo", "workers", "threads", "precision", "compile")


def measured(backbone: str, arguments: argparse.Namespace, folder: Path) -> dict[str, float | None]:
    """Images per second of every way."""
    images = photos(folder, count=16 * arguments.batch, side=arguments.photo)
    run = configured(backbone, arguments, images, cache=folder / "cache")
    data = data_of(run, cache=folder / "cache")
    ways: dict[str, Callable[[], float]] = {
        "dml-study": lambda: of_fit(ours(run, data), arguments),
        "the limit": lambda: of_fit(limit(run, data), arguments),
        "plain loop": lambda: of_loop(plain(run, data, images / "train", arguments), arguments),
    }
    chosen = {name: way for name, way in ways.items() if name not in arguments.skip}
    best: dict[str, float | None] = dict.fromkeys(WAYS)
    for _ in range(arguments.repeat):
        for name, way in chosen.items():
            best[name] = max(best[name] or 0.0, way())
            print(f"{backbone}, {name}: {best[name]:.1f} images/s", file=sys.stderr, flush=True)
    return best


def configured(backbone: str, arguments: argparse.Namespace, images: Path, *, cache: Path) -> "RunConfig":
    size, decoded = arguments.size, round(arguments.size * 8 / 7)  # 256 for 224, as papers decode
    training = {"batch_size": arguments.batch, "precision": arguments.precision, "threads": arguments.threads}
    return run_on(
        images,
        cache=cache,
        image_size=decoded,
        view=size,
        backbone=backbone_of(backbone, size),
        training={**training, "compile": arguments.compile},
        device=arguments.device,
    )


def ours(run: "RunConfig", data: "RunData") -> "Fit":
    from trainables.training.fit import Fit

    return Fit(run, data, epochs=1)


def limit(run: "RunConfig", data: "RunData") -> "Fit":
    """The same fit, whose batches are one batch that is there already."""
    import numpy as np

    from trainables.step import Step
    from trainables.training.fit import Fit

    class Limit(Fit):
        def training_inputs(self, batch: np.ndarray, step: Step) -> "Tensor":
            if not hasattr(self, "resident"):
                self.resident = super().training_inputs(batch, step)
            return self.resident

    return Limit(run, data, epochs=1)


def of_fit(fit: "Fit", arguments: argparse.Namespace) -> float:
    """Images per second of its steps, the first ones not counted: they compile, and choose kernels."""
    from trainables.step import Step

    batches = [batch for epoch in range(100) for batch in fit.stream.of(epoch) if len(batch) == arguments.batch]
    warm = 1 if arguments.device == "cpu" else 5
    fit.model.train()
    fit.data.inputs.expect(fit.data.split.train[batch] for batch in batches[: warm + arguments.steps])

    def train(start: int, count: int) -> None:
        for index in range(start, start + count):
            fit._step(batches[index], Step(0, 0, index))
        synchronize(arguments.device)

    train(0, warm)
    start = time.perf_counter()
    train(warm, arguments.steps)
    return arguments.steps * arguments.batch / (time.perf_counter() - start)


def plain(run: "RunConfig", data: "RunData", folder: Path, arguments: argparse.Namespace) -> Iterator[None]:
    """A step of the loop that papers' code has, at each `next`."""
    import torch
    from torchvision import datasets, transforms

    from trainables.losses.module import BaseLoss
    from trainables.model import build_model

    device = torch.device(arguments.device)
    view = [transforms.RandomResizedCrop(arguments.size, scale=(0.2, 1.0)), transforms.RandomHorizontalFlip()]
    images = datasets.ImageFolder(str(folder), transforms.Compose([*view, transforms.ToTensor()]))
    loader = torch.utils.data.DataLoader(
        images,
        arguments.batch,
        shuffle=True,
        drop_last=True,
        num_workers=arguments.workers,
        pin_memory=device.type == "cuda",
    )
    model = build_model(run, channels=3).to(device).train()
    base = BaseLoss(run.loss, num_classes=len(images.classes), embedding_dim=run.embedding_dim, seed=0).to(device)
    optimizer = torch.optim.Adam([*model.parameters(), *base.parameters()], lr=run.optimizer.lr)
    while True:
        for inputs, labels in loader:
            embeddings = model(inputs.to(device))
            loss = base.function(embeddings, labels.to(device), base.proxies)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # papers' code prints the loss of each step
            yield


def of_loop(steps: Iterator[None], arguments: argparse.Namespace) -> float:
    for _ in range(2 * arguments.workers + 1):  # workers read two batches ahead
        next(steps)
    start = time.perf_counter()
    for _ in range(arguments.steps):
        next(steps)
    return arguments.steps * arguments.batch / (time.perf_counter() - start)


def report(found: dict[str, dict[str, float | None]]) -> None:
    rows = []
    for name, each in found.items():
        mine, bound, loop = (each[way] for way in WAYS)
        by_loop = mine / loop if mine and loop else None
        rows.append([name, mine, bound, loop, mine / bound if mine and bound else None, by_loop])
    show(["images/s", *WAYS, "of the limit", "times the plain loop"], rows)


if __name__ == "__main__":
    main()
