"""Several trainings on one GPU: how large a share each one gets, and what happens where it was too small."""

from study.packing.book import PACKING_KEY, PackingBook
from study.packing.shares import Gpu, larger, share_of

__all__ = ["PACKING_KEY", "Gpu", "PackingBook", "larger", "share_of"]
