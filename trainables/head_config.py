"""Configuration of the embedding head, the linear map from a backbone's features to embeddings. Free of torch."""

from typing import Literal

from trainables.parts import Config, added


class Head(Config):
    """The linear map from features to embeddings. Its width is `embedding_dim`."""

    bias: bool = added(True, legacy=True)
    layer_norm: Literal["none", "before"] = added("none", legacy="none")
    """before: features get mean 0 and variance 1 first, without weights of its own (Zhai and Wu, BMVC 2019)."""
    init: Literal["default", "orthogonal", "kaiming", "xavier"] = added("default", legacy="default")
    """default: torch's of a linear layer; kaiming: normal, by the fan out; xavier: uniform. The bias starts at zero but
    in the default."""
