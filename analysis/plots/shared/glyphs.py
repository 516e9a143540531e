"""Characters that no installed font has: one plain line about them, where matplotlib warns for each."""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_MISSING = re.compile(r"Glyph (\d+) \(.*missing from font")
_told: set[str] = set()


@contextmanager
def missing_glyphs_told() -> Iterator[None]:
    """Figures are written inside: each missing character is named once, all other warnings are passed on."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    missing: set[str] = set()
    for warning in caught:
        if found := _MISSING.match(str(warning.message)):
            missing.add(chr(int(found[1])))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    _tell(missing - _told)


def _tell(characters: set[str]) -> None:
    if not characters:
        return
    from matplotlib import get_cachedir

    _told.update(characters)
    logging.getLogger(__name__).warning(
        "note: no installed font has %s; figures show boxes instead. A wide font helps, such as Noto Sans CJK "
        "(fonts-noto-cjk on Debian); then delete matplotlib's list of fonts, %s/fontlist-*.json",
        " ".join(sorted(characters)),
        get_cachedir(),
    )
