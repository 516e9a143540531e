"""Lengths of time on the command line."""

import pytest

from study.durations import parse_duration
from trainables.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("45m", 45 * 60),
        ("1h30m", 5400),
        ("23h50m", 23 * 3600 + 50 * 60),
        ("2d", 2 * 86400),
        ("30:15", 30 * 60 + 15),
        ("01:30:00", 5400),
        ("1-12:00:00", 36 * 3600),
        ("1-12:30", 36 * 3600 + 30 * 60),
        ("2-0", 2 * 86400),
        (" 1H ", 3600),
    ],
)
def test_forms(text: str, seconds: int) -> None:
    assert parse_duration(text, name="--max-time") == seconds


@pytest.mark.parametrize("text", ["", "90", "0s", "h", "1.5h", "30m1h", "1-", "1:2:3:4", "-5m", "soon"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--max-time .*: should be a length of time such as 90s, 45m"):
        parse_duration(text, name="--max-time")
