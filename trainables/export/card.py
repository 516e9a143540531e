"""The README of an exported model."""

from collections.abc import Mapping, Sequence

from trainables.export.manifest import ONNX, WEIGHTS, Manifest, Parity
from trainables.export.preprocessing import Preprocessing

_RESIZED = {
    "squash": "squashed to a square",
    "crop": "short side resized, middle kept",
    "whole": "squashed to a square, crops counted in pixels of the image as it was",
}


def card(manifest: Manifest, preprocessing: Preprocessing, *, formats: Sequence[str]) -> str:
    """Markdown: what the model is, its numbers and how they were made, and how to use it."""
    network, provenance = manifest.network, manifest.provenance
    title = f"{network.backbone.name} embedding of {provenance['dataset']}"
    parts = [
        f"# {title}",
        f"Run `{manifest.run_id}` of the study `{manifest.study}`: a {network.embedding_dim}-dimensional embedding for "
        f"retrieval by {manifest.distance} distance, trained on {len(manifest.training_classes)} classes.",
        *([manifest.protocol] if manifest.protocol else []),
        "## Numbers",
        _table(("metric", "value"), [(key, f"{value:.4f}") for key, value in manifest.metrics.items()]),
        "## Use",
        *_usage(formats),
        _images(preprocessing),
        "## Parity",
        f"Largest difference to the embeddings of the run's own network, on {_count(manifest.parity)} test images:",
        _table(
            ("what", "largest difference", "relative", "allowed"),
            [
                (name, f"{each.largest_difference:.2e}", f"{each.relative:.2e}", f"{each.tolerance:.0e}")
                for name, each in manifest.parity.items()
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _usage(formats: Sequence[str]) -> list[str]:
    texts = []
    if "safetensors" in formats:
        texts.append(
            f"`{WEIGHTS}`, with the package dml-study:\n\n"
            "```python\n"
            "from trainables.export import load_exported\n\n"
            'exported = load_exported("this-folder")\n'
            'embeddings = exported.model(exported.transform(["a.jpg", "b.jpg"]))\n'
            "```"
        )
    if "onnx" in formats:
        texts.append(
            f"`{ONNX}` is the whole network: input `images`, float32 in 0..1, any number of them; output `embeddings`."
        )
    return [*texts, "Embeddings come out raw, not normalised."]


def _images(how: Preprocessing) -> str:
    colors = "grey" if how.channels == 1 else "RGB"
    steps = [f"{colors}, {_RESIZED[how.resize]} of {how.image_size} pixels"]
    if not how.view.views_whole_images:
        steps.append(f"the middle {how.test_crop:g} of the short side at {how.input_size} pixels")
    order = how.normalization.channel_order.upper()
    colored = f"makes {order} of it and " if how.normalization.channels > 1 else ""
    steps.append(f"divided by 255. The network itself {colored}normalises it by mean and deviation")
    return f"Images: {', '.join(steps)}. `preprocessing.json` has every value."


def _count(parity: Mapping[str, Parity]) -> int:
    return max((each.images for each in parity.values()), default=0)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
