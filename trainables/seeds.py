"""Seeds as a function of their purpose. No torch here: planning derives seeds too."""

import hashlib


def derive_seed(base: int, *scope: int | str) -> int:
    """A 63-bit seed for one purpose, independent of every other scope.

    Args:
        base: the run's seed.
        scope: purpose, epoch, step, ...: `derive_seed(seed, "sampler", epoch)`.
    """
    text = "\x1f".join([str(int(base)), *(f"{type(part).__name__}:{part}" for part in scope)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
