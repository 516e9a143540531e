"""The base losses by name. Free of torch: planning imports it."""

from trainables.losses.config import LossConfig, NormSoftmax, ProxyAnchor, ProxyNCA
from trainables.losses.continuous_config import DenseTriplet, LogRatio, NaiveTriplet
from trainables.losses.pair_config import Contrastive, Margin, MultiSimilarity, Triplet
from trainables.losses.softmax_config import (
    ArcFace,
    CosFace,
    CurricularFace,
    ProxyNCAPlusPlus,
    Softmax,
    SoftTriple,
    SphereFace,
)
from trainables.parts import registered

LOSSES = registered(
    NormSoftmax,
    Softmax,
    ProxyNCA,
    ProxyNCAPlusPlus,
    SphereFace,
    CosFace,
    ArcFace,
    CurricularFace,
    SoftTriple,
    ProxyAnchor,
    LogRatio,
    DenseTriplet,
    NaiveTriplet,
    Contrastive,
    Triplet,
    MultiSimilarity,
    Margin,
    base=LossConfig,
    group="dml_study.losses",
)
