"""The syntheses by name. Free of torch: planning imports it."""

from trainables.parts import registered
from trainables.synthesis.config import NoSynthesis, ProxySynthesis, SynthesisConfig
from trainables.synthesis.l2a_config import L2A
from trainables.synthesis.memory_config import XBM, MemVir
from trainables.synthesis.mixing_config import InputMixup, ManifoldMixup, VirtualSoftmax

SYNTHESES = registered(
    NoSynthesis,
    ProxySynthesis,
    MemVir,
    L2A,
    XBM,
    InputMixup,
    ManifoldMixup,
    VirtualSoftmax,
    base=SynthesisConfig,
    group="dml_study.syntheses",
)
