"""Errors that other code tells apart; everything else is a plain `LedgerError`."""

from trainables.errors import LedgerError


class MissingKeyError(LedgerError):
    """Nothing is stored under this key, or no longer: a reader lists again."""


class StaleDriverError(LedgerError):
    """A newer driver owns the results folder; this process stops writing."""


class StorageGoneError(LedgerError):
    """A storage that answered before does not answer any more; it was waited for."""
