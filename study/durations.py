"""Lengths of time as people and Slurm write them."""

import re

from trainables.errors import ConfigError

_UNITS = re.compile(r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?")
_SLURM = re.compile(r"(?:(?P<days>\d+)-)?(?P<fields>\d+(?::\d+){0,2})")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parse_duration(text: str, *, name: str) -> float:
    """Seconds of `90s`, `45m`, `1h30m`, and of Slurm's `mm:ss`, `hh:mm:ss`, `d-hh`, `d-hh:mm`, `d-hh:mm:ss`.

    Args:
        text: what was written.
        name: of the option, for the message.

    Raises:
        ConfigError: none of these forms, or no time at all.
    """
    written = text.strip().lower()
    seconds = _with_units(written)
    if seconds is None:
        seconds = _as_slurm(written)
    if not seconds:
        raise ConfigError(f"{name} {text}: should be a length of time such as 90s, 45m, 1h30m or 1-12:00:00")
    return float(seconds)


def _with_units(text: str) -> int | None:
    match = _UNITS.fullmatch(text)
    if match is None or not text:
        return None
    return sum(int(match[unit] or 0) * seconds for unit, seconds in _SECONDS.items())


def _as_slurm(text: str) -> int | None:
    """After days the first field is hours; without, of two fields the first is minutes. A number alone is refused."""
    match = _SLURM.fullmatch(text)
    if match is None:
        return None
    fields = [int(field) for field in match["fields"].split(":")]
    if match["days"] is not None:
        hours, minutes, seconds = [*fields, 0, 0][:3]
        return int(match["days"]) * 86400 + hours * 3600 + minutes * 60 + seconds
    if len(fields) == 1:
        return None
    hours, minutes, seconds = [0, 0, *fields][-3:]
    return hours * 3600 + minutes * 60 + seconds
