"""Studies of a frozen backbone: its features cached once, against a pass through the backbone in every epoch.

    python benchmarks/frozen_features.py [--device cpu] [--backbone mobilenet_v2] [--epochs 20] [--runs 8]

An epoch is what a run does: training of the head, and validation. `through` gets the features of each batch, and of
each evaluation, from the backbone, without gradients and without augmentation; `fine-tuned` trains the backbone too.
Cached, a study makes the features of all images once, which is measured and shared by its runs: seconds of a study are
seconds of the cache and `runs` x `epochs` x seconds of an epoch. Epochs and runs are counted, not trained.
"""

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alone import measured
from report import begin, kind, parser, show, with_device, write
from training import BACKBONES, backbone_of, data_of, photos, run_on

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from trainables.config import RunConfig
    from trainables.step import Step
    from trainables.strategies.plain import Plain
    from trainables.training.data import RunData
    from trainables.training.fit import Fit

SIZES = {"cpu": {"size": 96, "images": 160}, "cuda": {"size": 224, "images": 2000}}


def main() -> None:
    options = with_device(parser(__doc__))
    options.add_argument("--backbone", choices=BACKBONES, default="mobilenet_v2")
    options.add_argument("--epochs", type=int, default=20, help="of a run")
    options.add_argument("--runs", type=int, default=8, help="of the study")
    options.add_argument("--repeat", type=int, default=2, help="epochs that are measured; the fastest counts")
    for name in ("size", "images"):
        options.add_argument(f"--{name}", type=int, help=str({device: each[name] for device, each in SIZES.items()}))
    arguments = options.parse_args()
    for name, value in SIZES[arguments.device].items():
        setattr(arguments, name, getattr(arguments, name) or value)
    about = begin(arguments.device)
    with tempfile.TemporaryDirectory(prefix="frozen-") as folder:
        found = seconds(arguments, Path(folder))
    ratios = report(found, arguments)
    sizes = {name: getattr(arguments, name) for name in ("backbone", "size", "images", "epochs", "runs")}
    title = f"frozen features {arguments.backbone} {kind(arguments.device, package='torch')}"
    write(arguments.json, title, {**about, **sizes, "seconds": found, "times as fast": ratios})


def seconds(arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    """CPU seconds (on a GPU seconds) of the cache, and of an epoch of each way."""
    images, cache = photos(folder, count=arguments.images, side=112), folder / "cache"
    tuned = configured(arguments, images, cache, trainable=True)
    frozen = configured(arguments, images, cache, trainable=False)
    data_of(tuned, cache=cache)  # decodes
    clock = "cpu" if arguments.device == "cpu" else "wall"
    cached, costs = measured(lambda: data_of(frozen, cache=cache), device=arguments.device)
    found = {"cache": costs[clock]}
    for name, run, data in (("cached", frozen, cached), ("through", frozen, cached), ("fine-tuned", tuned, None)):
        strategy = strategy_of(name, run, data or data_of(tuned, cache=cache), tuned, cache)
        epochs = [measured(strategy.epoch, device=arguments.device)[1][clock] for _ in range(arguments.repeat + 1)]
        found[name] = min(epochs[1:])
    return found


def configured(arguments: argparse.Namespace, images: Path, cache: Path, *, trainable: bool) -> "RunConfig":
    run = run_on(
        images,
        cache=cache,
        image_size=arguments.size,
        backbone={**backbone_of(arguments.backbone, arguments.size), "trainable": trainable},
        training={"epochs": 100, "batch_size": 32, "threads": arguments.threads},
        device=arguments.device,
    )
    return run.simplified()


def strategy_of(name: str, run: "RunConfig", data: "RunData", tuned: "RunConfig", cache: Path) -> "Plain":
    from trainables.strategies.plain import Plain

    if name != "through":
        return Plain(run, data, data)
    through = fit_through(tuned, data_of(tuned, cache=cache))

    class Through(Plain):
        def _new_fit(self, data: "RunData", *, epochs: int) -> "Fit":
            return through(self.run, data, epochs=epochs)

    return Through(run, data, data)


def fit_through(tuned: "RunConfig", images: "RunData") -> Any:
    """A kind of fit whose features come from the backbone each time."""
    import torch

    from trainables.backbones.build import build_backbone
    from trainables.model import autocast
    from trainables.training.embedding import formatted
    from trainables.training.fit import Fit

    backbone = build_backbone(tuned.backbone, channels=3, seed=0).eval().to(images.device)
    backbone = backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def features(positions: "np.ndarray") -> "Tensor":
        with autocast(tuned):
            return backbone(formatted(tuned, images.evaluation_batch(positions))).float()  # type: ignore[no-any-return]

    class FitThrough(Fit):
        def training_inputs(self, batch: "np.ndarray", step: "Step") -> "Tensor":
            return features(self.data.split.train[batch])

        def embed(self, positions: "np.ndarray") -> "Tensor":
            self.model.eval()
            with torch.no_grad():
                return torch.cat([self.model(features(positions[i : i + 64])) for i in range(0, len(positions), 64)])

    return FitThrough


def report(found: dict[str, float], arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Prints, and returns how many times as fast cached features are, for one run and for the study."""
    ratios: dict[str, dict[str, float]] = {}
    for way in ("through", "fine-tuned"):
        ratios[way] = {
            title: runs * arguments.epochs * found[way] / (found["cache"] + runs * arguments.epochs * found["cached"])
            for title, runs in (("one run", 1), ("study", arguments.runs))
        }
        ratios[way]["epoch"] = found[way] / found["cached"]
    rows = [["cached", found["cache"], found["cached"]], *([way, 0.0, found[way]] for way in ratios)]
    show(["seconds", "cache", "epoch"], rows)
    print()
    head = [
        "cached is faster than",
        "an epoch",
        *(f"{runs} x {arguments.epochs} epochs" for runs in (1, arguments.runs)),
    ]
    show(head, [[way, each["epoch"], each["one run"], each["study"]] for way, each in ratios.items()])
    return ratios


if __name__ == "__main__":
    main()
