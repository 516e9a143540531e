"""Several drivers on one results folder, each with the runs of its shard."""

import re
from dataclasses import dataclass

from trainables.errors import ConfigError

_KEY = re.compile(r"drivers/(\d+)-of-(\d+)\.json")
FOLDER = "drivers/"


def is_lease(key: str) -> bool:
    """Whether a key below `drivers/` is that of a shard's lease."""
    return _KEY.fullmatch(key) is not None


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`, from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Of `3/8`.

        Raises:
            ConfigError: not of that form.
        """
        match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise ConfigError(f"--shard {text}: should be i/n with i from 1 to n, such as 3/8")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def key(self) -> str:
        """Where its driver keeps its lease."""
        return f"{FOLDER}{self.index:04d}-of-{self.count:04d}.json"

    def excludes(self, key: str) -> bool:
        """Whether the driver of a lease would train the same runs: all but those of other shards of this count."""
        match = _KEY.fullmatch(key)
        return match is None or int(match[2]) != self.count or int(match[1]) == self.index
