"""An exported model back in torch. Nothing of it is code: weights are safetensors, all else is JSON."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from trainables.errors import DataError
from trainables.export.extras import require_packages
from trainables.export.manifest import PREPROCESSING, WEIGHTS, Manifest, read_manifest, verified
from trainables.export.preprocessing import Preprocessing, Transform
from trainables.model import EmbeddingModel, build_model


@dataclass(frozen=True)
class Exported:
    """A network with what belongs to it.

    Attributes:
        model: images [B, C, S, S] in 0..1 to raw embeddings [B, D]; in evaluation mode, on the CPU, not trainable.
        transform: image files to such images.
        about: the content of `model.json`.
    """

    model: EmbeddingModel
    transform: Transform
    about: Manifest


def load_exported(folder: str | Path) -> Exported:
    """The network that `dml-study export model` wrote.

    Raises:
        DataError: no such folder, a file that was changed or is missing, or weights that do not fit.
        ConfigError: safetensors is not installed.
    """
    require_packages("safetensors")
    from safetensors import SafetensorError
    from safetensors.torch import load

    folder = Path(folder)
    manifest = read_manifest(folder)
    weights = verified(folder, WEIGHTS, manifest)
    preprocessing = _preprocessing(folder, manifest)
    model = build_model(manifest.network.run, channels=manifest.network.channels)
    try:
        model.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        raise DataError(f"{folder / WEIGHTS} does not fit the network of its model.json: {error}") from error
    return Exported(model.eval().requires_grad_(False), Transform(preprocessing), manifest)


def _preprocessing(folder: Path, manifest: Manifest) -> Preprocessing:
    try:
        return Preprocessing.model_validate_json(verified(folder, PREPROCESSING, manifest))
    except ValidationError as error:
        raise DataError(f"{folder / PREPROCESSING} is of another version: {error.errors()[0]['msg']}") from error
