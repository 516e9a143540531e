"""Results folders as data frames."""

from analysis.loading.results import Readable, Results, Source, load

__all__ = ["Readable", "Results", "Source", "load"]
