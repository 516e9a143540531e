"""Where results may lie: a local folder, or a folder of an object store that an address names (`s3://bucket/folder`)."""

import os
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from trainables.errors import LedgerError

Place = Path | str
"""A local folder as a path; anything else as the address that `resolved` gives."""

_SECRETS = ("secret", "password", "token", "key", "sig")


def is_address(text: str | os.PathLike[str]) -> bool:
    """Whether a text is an address rather than a path: `s3://bucket/folder`."""
    return isinstance(text, str) and "://" in text


def resolved(place: str | os.PathLike[str]) -> Place:
    """An absolute path, or an address without a trailing slash; `file:///folder` is the path.

    Raises:
        LedgerError: an address with credentials: it is written into rows and messages.
    """
    if not is_address(place):
        return Path(place).expanduser().resolve()
    parts = urlsplit(str(place))
    if parts.scheme == "file":
        return Path(unquote(parts.path)).resolve()
    _refuse_credentials(str(place))
    return parts._replace(path=parts.path.rstrip("/")).geturl()


def keyed(place: str, key: str) -> str:
    """The place of an object in a results folder, for messages; what stands behind an address's `?` is left out."""
    return f"{place.partition('?')[0] if is_address(place) else place}/{key}"


def inside(place: Place, name: str) -> Place:
    """A folder in a folder."""
    if isinstance(place, Path):
        return place / name
    folder, mark, query = place.partition("?")
    return f"{folder.rstrip('/')}/{name}{mark}{query}"


def parent(address: str) -> str | None:
    """The folder or bucket that holds an address's folder; None for a bucket."""
    parts = urlsplit(address)
    above, _, name = parts.path.rpartition("/")
    return parts._replace(path=above).geturl() if name else None


def _refuse_credentials(address: str) -> None:
    parts = urlsplit(address)
    named = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    secret = any(word in name.lower() for name in named for word in _SECRETS)
    if secret or parts.password is not None or (parts.scheme == "s3" and parts.username is not None):
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise LedgerError(
            f"the address {shown} comes with credentials, and addresses are written into rows and messages; give them "
            "in the environment instead (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile)"
        )
