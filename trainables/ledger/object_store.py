"""A results folder in an object store: S3 and what else pyarrow's file systems reach. Loads pyarrow."""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from trainables.errors import LedgerError
from trainables.ledger.errors import MissingKeyError, StorageGoneError
from trainables.ledger.patience import Patience
from trainables.ledger.places import keyed
from trainables.ledger.store import Keys, require_key

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_Result = TypeVar("_Result")

_CREDENTIALS = (
    "check the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile) and their rights to list, read, "
    "write and delete there"
)
_PERMANENT = {
    "NO_SUCH_BUCKET": "there is no such bucket: create it, or correct the address",
    "ResourceNotFound": "there is no such bucket: create it, or correct the address",
    **dict.fromkeys(
        (
            "ACCESS_DENIED",
            "INVALID_ACCESS_KEY_ID",
            "SIGNATURE_DOES_NOT_MATCH",
            "INVALID_SIGNATURE",
            "UNRECOGNIZED_CLIENT",
            "EXPIRED_TOKEN",
            "InvalidToken",
            "MISSING_AUTHENTICATION_TOKEN",
            "No credentials",
        ),
        _CREDENTIALS,
    ),
}
"""What repeating does not help against, by a part of the message -> remedy."""
_TRANSIENT = {
    "NETWORK_CONNECTION": "there is no connection: check the network and the endpoint (AWS_ENDPOINT_URL, or "
    "?endpoint_override=HOST&scheme=http in the address)",
}


class ObjectStore:
    """A folder of a bucket. An object appears with all its bytes in one request, or not at all.

    Objects beyond 10 MB travel in parts, which nobody sees before the last request joins them. A writer that is killed
    leaves such parts behind; a lifecycle rule of the bucket (AbortIncompleteMultipartUpload) removes them.
    """

    def __init__(self, address: str, *, patience: Patience | None = None) -> None:
        """
        Args:
            address: `s3://bucket/folder`, `gs://...`, `abfs://...`; credentials come from the environment.
            patience: waits for what may pass; by default from the first answer on.

        Raises:
            LedgerError: the address is none that pyarrow understands.
        """
        self.location = address
        self._patience = patience or Patience(keyed(address, "").rstrip("/"))
        self._files, self._root = _connected(address)

    def put(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """One write of the whole object; it is durable in any case.

        Raises:
            LedgerError: credentials, bucket or connection are missing, ...; nothing of the object is visible then.
        """
        self._retried("write", key, partial(self._write, self._path(key), data))

    def _write(self, path: str, data: bytes) -> None:
        """In a thread of its own: a signal's exception between opening and closing would publish half an object."""
        failure: list[BaseException] = []

        def work() -> None:
            try:
                stream = self._files.open_output_stream(path)
                stream.write(data)
                stream.close()
            except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
                failure.append(error)

        thread = threading.Thread(target=work, name="put", daemon=False)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]

    def get(self, key: str) -> bytes:
        """The whole object."""
        return self._retried("read", key, partial(self._read, self._path(key)))

    def _read(self, path: str) -> bytes:
        with self._files.open_input_file(path) as file:
            size = file.size()
            data: bytes = file.read_at(size, 0)
        # Size and content are two requests: a longer object that came in between would be cut.
        if len(data) != size or self._files.get_file_info(path).size != size:
            raise OSError("it was replaced while it was read")
        return data

    def exists(self, key: str) -> bool:
        """Whether the object is there."""
        from pyarrow.fs import FileType

        info = self._retried("look for", key, partial(self._files.get_file_info, self._path(key)))
        return bool(info.type == FileType.File)

    def delete(self, key: str) -> None:
        """Removes the object; an empty marker of its folder may stay."""
        with suppress(MissingKeyError):
            self._retried("delete", key, partial(self._files.delete_file, self._path(key)))

    def list(self, *prefixes: str) -> Keys:
        """Lists the folder part of `prefixes`, page by page."""
        from pyarrow.fs import FileSelector, FileType

        folder = self._path(prefixes[0].rpartition("/")[0]).rstrip("/")
        selector = FileSelector(folder, recursive=True, allow_not_found=True)
        found = self._retried("list", prefixes[0], partial(self._files.get_file_info, selector))
        keys = (info.path.removeprefix(f"{self._root}/") for info in found if info.type == FileType.File)
        return sorted(key for key in keys if key.startswith(prefixes))

    def names(self) -> Keys:
        """Names of objects and folders at the top."""
        from pyarrow.fs import FileSelector

        selector = FileSelector(self._root, recursive=False, allow_not_found=True)
        found = self._retried("list", "", partial(self._files.get_file_info, selector))
        return sorted(info.base_name for info in found)

    def clean(self) -> None:
        """Nothing: what killed writers left behind is no object."""

    def _path(self, key: str) -> str:
        require_key(key, self.location)
        return f"{self._root}/{key}"

    def _retried(self, verb: str, key: str, action: Callable[[], _Result]) -> _Result:
        """Repeats what may pass. Every action may be repeated: also one that was done and whose answer was lost."""
        import pyarrow as pa

        answered = self._patience.answered
        try:
            return self._patience.repeat(action, passes=_passes)
        except FileNotFoundError as error:
            self._patience.answered = True
            raise MissingKeyError(f"{keyed(self.location, key)} does not exist") from error
        except (OSError, pa.ArrowException) as error:
            kind = StorageGoneError if answered and _passes(error) else LedgerError
            raise _failure(verb, keyed(self.location, key), error, kind=kind) from error


def _connected(address: str) -> "tuple[FileSystem, str]":
    """The file system of an address, and the folder in it."""
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    try:
        files, root = FileSystem.from_uri(_with_one_put(address))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _failure("open", address.partition("?")[0], error) from error
    return files, root.rstrip("/")


def _with_one_put(address: str) -> str:
    """Lets pyarrow open nothing before the bytes are there: a small object is then one request instead of three."""
    if urlsplit(address).scheme != "s3":
        return address
    return f"{address}{'&' if '?' in address else '?'}allow_delayed_open=true"


def _passes(error: Exception) -> bool:
    import pyarrow as pa

    if isinstance(error, FileNotFoundError | PermissionError) or any(code in str(error) for code in _PERMANENT):
        return False
    return isinstance(error, OSError | pa.ArrowException)


def _failure(verb: str, place: str, error: Exception, *, kind: type[LedgerError] = LedgerError) -> LedgerError:
    text = (str(error).splitlines() or [type(error).__name__])[0].strip()
    fitting = (remedy for code, remedy in {**_PERMANENT, **_TRANSIENT}.items() if code in text)
    default = _CREDENTIALS if isinstance(error, PermissionError) else "check the address and the storage"
    return kind(f"cannot {verb} {place}: {text}; {next(fitting, default)}, then run the same command again")
