"""Every base loss as a pure function; every result is a scalar. The implementations stand in one module per family.

Losses with classes take raw embeddings [B, D], labels [B] and raw proxies [C, D] and normalize them inside; plain
`softmax` does not. Half precision inputs are computed in float32 (see `trainables.geometry`). All raise ValueError for
shapes that do not belong together, an empty batch, and labels outside 0..C-1 (on the CPU).
"""

from trainables.losses.continuous import dense_triplet, log_ratio, naive_triplet
from trainables.losses.margin_softmax import arcface, cosface, curricularface, sphereface
from trainables.losses.proxy_anchor import proxy_anchor
from trainables.losses.soft_triple import soft_triple
from trainables.losses.softmax import norm_softmax, proxy_nca, proxy_nca_pp, softmax
from trainables.losses.transfer import pkt, relaxed_contrastive, relaxed_multi_similarity, rkd

__all__ = [
    "arcface",
    "cosface",
    "curricularface",
    "dense_triplet",
    "log_ratio",
    "naive_triplet",
    "norm_softmax",
    "pkt",
    "proxy_anchor",
    "proxy_nca",
    "proxy_nca_pp",
    "relaxed_contrastive",
    "relaxed_multi_similarity",
    "rkd",
    "soft_triple",
    "softmax",
    "sphereface",
]
