"""The GPU memory of this process: its share, what a run took of it, and how running out of it looks.

Ray gives a process one GPU to see, or whole ones; whatever is shared is the first that torch sees.
"""

import gc
from collections.abc import Iterator

import torch

OUT_OF_MEMORY = "out_of_memory"
"""How a run ends that had a part of a GPU and needs a larger one. It is not committed."""

CONTEXT_BYTES = 600 * 2**20
"""About what CUDA and its libraries keep for a process, besides torch's own memory."""
_OF_LIBRARIES = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


def limit_memory(share: float) -> None:
    """Keeps this process to its share of its GPU: a run that needs more fails itself, and not its neighbours.

    Args:
        share: GPUs that the process may use; from 1 on there is no limit.
    """
    if 0 < share < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(tensor_share(share, torch.cuda.mem_get_info()[1]))


def tensor_share(share: float, memory: int) -> float:
    """What torch may take of a share of a GPU, beside what CUDA takes; half of a share that is tiny."""
    return max(share - CONTEXT_BYTES / memory, share / 2)


def _in_use() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def free_memory() -> int:
    """Gives back what an earlier run of this process left, and forgets its peak; returns the bytes that stay taken."""
    if not _in_use():
        return 0
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def peak_memory() -> int | None:
    """The most bytes that torch held since `free_memory`; None where the process uses no GPU."""
    return torch.cuda.max_memory_reserved() if _in_use() else None


def needed_of_gpu() -> int | None:
    """`peak_memory`, and what CUDA takes beside it."""
    peak = peak_memory()
    return None if peak is None else peak + CONTEXT_BYTES


def describe_gpu() -> tuple[str, int]:
    """Name and bytes of memory of this process's GPU; 0 bytes where torch can use none."""
    if not torch.cuda.is_available():
        return "GPU", 0
    properties = torch.cuda.get_device_properties(0)
    return properties.name, properties.total_memory


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU's memory was too small: by torch's own error, or one of CUDA's libraries, or what these caused."""
    return any(
        isinstance(each, torch.OutOfMemoryError)
        or (isinstance(each, RuntimeError) and any(text in str(each) for text in _OF_LIBRARIES))
        for each in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def explained(error: BaseException, trace: str) -> str:
    """The traceback of an error; where a whole GPU was too small, with what helps."""
    return f"{trace}\n{_remedy()}" if is_out_of_memory(error) else trace


def _remedy() -> str:
    name, memory = describe_gpu()
    size = f" ({name}, {memory / 2**30:.0f} GiB)" if memory else ""
    return (
        f"OutOfMemoryError: the run had a whole GPU{size}, and its memory is too small: lower training.batch_size, "
        "the size of images or embedding_dim, train in bfloat16 (training.precision), or take a larger GPU"
    )
