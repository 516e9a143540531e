"""What one run computes with weights of its own, inside `vmap`."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor
from torch.func import functional_call

from trainables.batch import Batch
from trainables.classes import Classes
from trainables.fused.mixing import Stacked, mixed
from trainables.model import autocast
from trainables.synthesis import config as configs
from trainables.training.fit import Fit

Owner = Literal["model", "loss"]
Key = tuple[Owner, str]
"""Names a parameter or a buffer."""


def loss_of(
    fit: Fit,
    tensors: Mapping[Key, Tensor],
    inputs: Tensor,
    labels: Tensor,
    numbers: Mapping[str, Tensor],
    mixtures: Stacked,
) -> Tensor:
    """What `fit` minimises in a step, with other weights and numbers: one run inside `vmap`."""
    with autocast(fit.run):
        embeddings = embeddings_of(fit, tensors, inputs)
    config = fit.run.loss
    classes = Classes(
        tensors["loss", "proxies"],
        tensors.get(("loss", "bias")),
        centers_per_class=config.centers,
        keeps_length=config.keeps_length,
    )
    batch, absent = Batch(embeddings, labels, classes), None
    if isinstance(fit.run.synthesis, configs.ProxySynthesis):
        batch, absent = mixed(batch, mixtures, fit.run.synthesis)
    extras = fit.loss.extras(batch)
    if not config.is_softmax:
        extras.pop("excluded", None)
    if config.takes_absent and absent is not None:
        extras["absent"] = absent
    assert batch.classes is not None
    loss: Tensor = fit.loss.function(batch.embeddings, batch.labels, batch.classes.weights, **extras, **numbers)
    return loss


def embeddings_of(fit: Fit, tensors: Mapping[Key, Tensor], inputs: Tensor) -> Tensor:
    """Raw embeddings [B, D] by the network of `fit`, in its mode, with other weights."""
    model = {name: value for (owner, name), value in tensors.items() if owner == "model"}
    embeddings: Tensor = functional_call(fit.model, model, (inputs,))
    return embeddings
