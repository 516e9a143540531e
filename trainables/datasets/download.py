"""Downloads that can be interrupted: a part goes on where it ended, and only of the file that it was begun from."""

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from trainables.datasets.source import Progress
from trainables.datasets.storage import INTO_REMEDY, require_room, storage_errors
from trainables.errors import DataError

__all__ = ["Remote", "fetch", "part_of", "probe"]

_BLOCK = 2**18
_TIMEOUT = 60.0
_ATTEMPTS = 5
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""HTTP states that pass."""
_GZIP = ("gzip", "x-gzip")
_OTHER = "the server has another file than the one that the part was begun from"


@dataclass(frozen=True)
class Remote:
    """What a server says about a file. Two answers about the same file are equal.

    Attributes:
        size: in bytes, None where it does not say.
        validator: strong ETag, or time of the last change; empty where it gives neither, and no part is continued.
    """

    size: int | None
    validator: str

    @classmethod
    def of(cls, response: http.client.HTTPResponse) -> "Remote":
        """Of an answer with the whole file or with a range of it."""
        etag, changed = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
        total = _range(response).rpartition("/")[2]
        size = total if response.status == http.client.PARTIAL_CONTENT else response.headers.get("Content-Length", "")
        return cls(int(size) if size.isdigit() else None, changed if etag.startswith("W/") else etag or changed)


class _DroppedError(Exception):
    """A connection that was lost, or a server that is busy: worth another attempt."""


class _TooLongError(_DroppedError):
    """The part has more bytes than the server's file."""


def part_of(path: Path) -> Path:
    """Where the first bytes of an unfinished download lie; `<name>.part.json` beside it says of which file they are."""
    return path.with_name(f"{path.name}.part")


def probe(url: str) -> Remote:
    """Asks what a file's size is, without reading it.

    Raises:
        DataError: there is no such file, no such server, or no connection.
    """
    try:
        with _request(url, {}) as response:
            return Remote.of(response)
    except _DroppedError as error:
        raise DataError(_unreachable(url, error)) from error


def fetch(
    url: str,
    path: Path,
    *,
    check: Callable[[Path], None],
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda message: None,
    pause: float = 1.0,
) -> Path:
    """Downloads a file whole and right, or leaves `<name>.part`, with which the next call goes on.

    Connections that drop are opened again, up to five times in a row without a new byte. A server that has another
    file than the part was begun from (size, ETag or time of change), or cannot continue, makes it start over.

    Args:
        check: looks at the complete part before it gets its name; raises `DataError` where it is not right, and the
            part is removed.
        tell: gets a sentence about each start over and each new attempt.
        pause: seconds before the second attempt, doubled for each further one.

    Raises:
        DataError: no such file, no connection, no room, or `check` refuses what came.
    """
    with storage_errors(path.parent, remedy=INTO_REMEDY):
        path.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(path.with_name(f".{path.name}.lock")).acquire()
    with held:
        if not path.exists():
            part = _Part(url, part_of(path), tell)
            _complete(part, progress, tell, pause)
            try:
                check(part.path)
            except DataError:
                part.remove()
                raise
            with storage_errors(path, remedy=INTO_REMEDY):
                part.path.replace(path)
            part.remove()
    return path


def _complete(part: "_Part", progress: Progress | None, tell: Callable[[str], None], pause: float) -> None:
    failures, furthest = 0, part.length
    while not part.complete:
        try:
            part.receive(progress)
        except _DroppedError as error:
            failures = 0 if part.length > furthest else failures + 1
            furthest = max(furthest, part.length)
            if failures >= _ATTEMPTS:
                raise DataError(_unreachable(part.url, error)) from error
            tell(f"{error}; going on at byte {part.length}")
            time.sleep(pause * 2**failures)


class _Part:
    """The first bytes of a file, and what the server said about the file that they are of."""

    def __init__(self, url: str, path: Path, tell: Callable[[str], None]) -> None:
        self.url, self.path, self.state, self._tell = url, path, path.with_name(f"{path.name}.json"), tell
        self.remote = self._recalled()
        self.complete = self.remote is not None and self.remote.size == self.length

    @property
    def length(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def remove(self) -> None:
        for leftover in (self.path, self.state):
            leftover.unlink(missing_ok=True)

    def receive(self, progress: Progress | None) -> None:
        """One connection's worth.

        Raises:
            _DroppedError: it ended early.
        """
        start = self.length if self.remote is not None and self.remote.validator else 0
        wanted = {"Range": f"bytes={start}-", "If-Range": self.remote.validator} if start and self.remote else {}
        try:
            response = _request(self.url, wanted)
        except _TooLongError:
            self._forget()
            return
        with response:
            found, partial = Remote.of(response), response.status == http.client.PARTIAL_CONTENT
            if partial and not (self._continues(found) and _range(response).startswith(f"bytes {start}-")):
                self._forget()
                return
            if start and not partial:
                self._tell(f"{self.url}: {_OTHER}, or it cannot go on; starting over")
                start = 0
            self._begin(found, start)
            self._append(response, found, start, progress)

    def _continues(self, found: Remote) -> bool:
        """An answer to If-Range need not repeat what it was asked with."""
        known = self.remote
        return known is not None and found.size == known.size and found.validator in ("", known.validator)

    def _forget(self) -> None:
        self._tell(f"{self.url}: {_OTHER}; starting over")
        self.remove()
        self.remote = None

    def _begin(self, found: Remote, start: int) -> None:
        """Without bytes of another file, and with the record before the first byte."""
        with storage_errors(self.path, remedy=INTO_REMEDY):
            require_room(self.path.parent, (found.size or 0) - start, remedy=INTO_REMEDY)
            if not start:
                self.state.unlink(missing_ok=True)
                self.path.write_bytes(b"")
                temporary = self.state.with_name(f".{self.state.name}.{os.getpid()}")
                temporary.write_text(json.dumps({"url": self.url, **asdict(found)}))
                temporary.replace(self.state)
                self.remote = found

    def _append(self, response: http.client.HTTPResponse, found: Remote, start: int, progress: Progress | None) -> None:
        with storage_errors(self.path, remedy=INTO_REMEDY), self.path.open("ab") as stream:
            length = start
            while block := _read(response, self.url):
                stream.write(block)
                length += len(block)
                if progress is not None:
                    progress(length >> 20, (found.size or length) >> 20, f"downloading {self.path.stem}, MiB")
        if found.size is not None and length != found.size:
            raise _DroppedError(f"{self.url}: the connection ended at byte {length} of {found.size}")
        self.complete = True

    def _recalled(self) -> Remote | None:
        """None where there is no part, or one of another address, or one of which nothing is known."""
        if not self.path.exists() or not self.state.exists():
            return None
        try:
            content = json.loads(self.state.read_bytes())
            return Remote(**content) if content.pop("url") == self.url else None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._tell(f"{self.state} is damaged ({error}); starting over")
            return None


def _range(response: http.client.HTTPResponse) -> str:
    return response.headers.get("Content-Range", "")


def _request(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    """The answer's head; its body is not read yet."""
    request = urllib.request.Request(url, headers={"User-Agent": "dml-study", "Accept-Encoding": "identity", **headers})
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _TooLongError(f"{url}: {error.code} {error.reason}") from error
        if error.code in _AGAIN:
            raise _DroppedError(f"{url}: {error.code} {error.reason}") from error
        raise DataError(_gone(url, f"{error.code} {error.reason}")) from error
    except (OSError, http.client.HTTPException) as error:
        raise _DroppedError(f"{url}: {getattr(error, 'reason', error)}") from error
    if reason := _refused(response, url, ranged="Range" in headers):
        response.close()
        raise DataError(_gone(url, reason))
    return response


def _refused(response: http.client.HTTPResponse, url: str, *, ranged: bool) -> str | None:
    """Why an answer is not the file, nor the range of it that was asked for."""
    if response.headers.get_content_type() == "text/html":
        return "it gives a web page instead of the file"
    if response.status != http.HTTPStatus.OK and not (ranged and response.status == http.HTTPStatus.PARTIAL_CONTENT):
        return f"{response.status} {response.reason} instead of the file"
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding == "identity" or (encoding in _GZIP and url.endswith("gz")):  # many servers call a .tgz an encoded tar
        return None
    return f"it gives the file encoded as {encoding}, which was not asked for"


def _read(response: http.client.HTTPResponse, url: str) -> bytes:
    try:
        return response.read(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _DroppedError(f"{url}: the connection was lost ({error})") from error


def _gone(url: str, reason: str) -> str:
    return f"{url}: {reason}; get the file in another way and name it with --from"


def _unreachable(url: str, error: Exception) -> str:
    return f"{error}; the same command goes on later, or name a copy of the file with --from"
