"""How this process gives memory back to the operating system."""

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of glibc's parameters in malloc.h."""
_MOST = 2**31 - 1
"""The largest value that mallopt takes."""


def keep_freed_memory() -> bool:
    """Lets a process that trains keep the memory that a step freed for the next step.

    By default glibc maps every large tensor anew and gives it back when it is freed, step after step; on a CPU the
    kernel then spends up to as long on clearing pages as the network on its arithmetic. Afterwards tensors below 2 GB
    come from the heap, and its end goes back once more than 2 GB of it are free. A process so holds about what its
    largest step needed. Either setting alone does not do: the first ends a rule of glibc's that adapts the second.
    No number changes.

    Returns:
        Whether anything changed; another C library or operating system is left as it is.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - other libraries have a mallopt that means other things
        accepted = [libc.mallopt(_MMAP_THRESHOLD, size) for size in (2**25, _MOST)]  # older versions take 32 MB at most
        kept = libc.mallopt(_TRIM_THRESHOLD, _MOST)
    except (OSError, AttributeError):
        return False
    return any(accepted) and bool(kept)
