"""The Parquet record of every run: the single source of truth. Loads neither torch nor pandas, and pyarrow only to
read and write rows."""

from trainables.ledger.checkpoints import Checkpoint
from trainables.ledger.errors import MissingKeyError, StaleDriverError
from trainables.ledger.lease import Lease, current_generation
from trainables.ledger.ledger import Ledger
from trainables.ledger.names import FINAL_STATUSES, TABLES, Commit
from trainables.ledger.schema import COLUMNS, SCHEMA_VERSION

__all__ = [
    "COLUMNS",
    "FINAL_STATUSES",
    "SCHEMA_VERSION",
    "TABLES",
    "Checkpoint",
    "Commit",
    "Lease",
    "Ledger",
    "MissingKeyError",
    "StaleDriverError",
    "current_generation",
]
