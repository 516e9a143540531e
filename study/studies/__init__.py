"""The shipped studies: specs that run as they are, by name."""

import glob
from pathlib import Path

from trainables.errors import ConfigError
from trainables.parts import nearest

__all__ = ["find_spec", "shipped"]


def shipped() -> dict[str, Path]:
    """Name -> file of every shipped study."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}


def find_spec(spec: str) -> Path:
    """The file of a spec: a path, or the name of a shipped study.

    Raises:
        ConfigError: neither exists; the message has the nearest name.
    """
    path = Path(spec).expanduser()
    if path.is_file():
        return path
    known = shipped()
    if spec in known:
        return known[spec]
    if path.suffix or "/" in spec:
        raise ConfigError(f"{spec}: no such file; `dml-study init {spec}` writes a spec to start from")
    beside = sorted(str(file) for file in path.parent.glob(f"{glob.escape(path.name)}.y*ml"))
    hint = f"did you mean '{beside[0]}'?" if beside else nearest(spec, list(known))
    raise ConfigError(f"{spec}: no such file, and no shipped study has this name; {hint}")
