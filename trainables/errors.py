"""Errors that a person can act on. The command line prints their message and nothing else."""


class DmlStudyError(Exception):
    """Base of all errors with a message for the user: the place, the value, the remedy."""


class ConfigError(DmlStudyError):
    """A configuration value that cannot be: unknown name, wrong type, out of bounds."""


class DataError(DmlStudyError):
    """Images, labels or weights on disk that cannot be used as they are."""


class LedgerError(DmlStudyError):
    """A results folder that cannot be read or written as it is."""


class TrainingError(DmlStudyError):
    """A run that cannot go on, a diverged loss for instance; recorded as a failure of that run alone."""
