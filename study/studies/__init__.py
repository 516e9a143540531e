"""The shipped studies: specs that run as they are, by name."""

import difflib
import glob
from pathlib import Path

from trainables.errors import ConfigError

__all__ = ["find_spec", "shipped"]

_FOLDER = Path(__file__).parent
_PAPER = "paper/"


def shipped() -> dict[str, Path]:
    """Name -> file of every shipped study; those at the scale of the papers are called `paper/NAME`."""
    files = [*sorted(_FOLDER.glob("*.yaml")), *sorted(_FOLDER.glob(f"{_PAPER}*.yaml"))]
    return {file.relative_to(_FOLDER).with_suffix("").as_posix(): file for file in files}


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
    if path.suffix or ("/" in spec and not spec.startswith(_PAPER)):
        raise ConfigError(f"{spec}: no such file; `dml-study init {spec}` writes a spec to start from")
    beside = sorted(str(file) for file in path.parent.glob(f"{glob.escape(path.name)}.y*ml"))
    hint = f"did you mean '{beside[0]}'?" if beside else _nearest(spec, list(known))
    raise ConfigError(f"{spec}: no such file, and no shipped study has this name; {hint}")


def _nearest(spec: str, known: list[str]) -> str:
    """The closest name, with or without `paper/`; where nothing is close, the names of one kind."""
    if f"{_PAPER}{spec}" in known:
        return f"did you mean '{_PAPER}{spec}'?"
    small = [name for name in known if not name.startswith(_PAPER)]
    large = [name for name in known if name.startswith(_PAPER)]
    asked, others = (large, small) if spec.startswith(_PAPER) else (small, large)
    bare = {name.removeprefix(_PAPER): name for name in (*others, *asked)}
    matches = difflib.get_close_matches(spec.removeprefix(_PAPER), list(bare), n=1, cutoff=0.5)
    if matches:
        return f"did you mean '{bare[matches[0]]}'?"
    if asked is large:
        return f"known below {_PAPER}: {', '.join(name.removeprefix(_PAPER) for name in large)}"
    return f"known: {', '.join(small)}, and {len(large)} at the scale of the papers, such as {large[0]}"
