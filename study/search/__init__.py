"""Hyperparameter search: settings proposed number by number, a function of the ledger and of what was recorded.

Free of ray and torch; optuna is imported where a setting is proposed.
"""

from study.search.board import Board, Task
from study.search.candidate import Candidate
from study.search.cell import SearchCell
from study.search.history import History, SearchHistory, rehearsal
from study.search.search import Search
from study.search.space import Params, Space

__all__ = [
    "Board",
    "Candidate",
    "History",
    "Params",
    "Search",
    "SearchCell",
    "SearchHistory",
    "Space",
    "Task",
    "rehearsal",
]
