"""A small S3-compatible server for tests, in a thread: objects, listings, multipart uploads, faults on demand."""

import hashlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

KEY_ID, SECRET = "test-key-id", "test-secret-never-shown"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}

Fault = Callable[[str, str], str | None]
"""Method and key of a request -> "503" (not done), "lost" (done, but the answer is lost), "reset" (cut in the middle of
the body), "403", or None."""


@dataclass
class Uploads:
    """Multipart uploads that are not completed: what is visible of them is nothing."""

    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)


class S3Server:
    """Serves buckets at `endpoint`; objects stand in `objects` as (bucket/key) -> (bytes, modification time)."""

    def __init__(self, *buckets: str) -> None:
        self.buckets = set(buckets)
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.uploads = Uploads()
        self.requests: list[tuple[str, str]] = []
        self.fault: Fault = lambda method, key: None
        self.latency = 0.0
        self.page = 1000
        self.lock = threading.Lock()
        self.away = True
        self._listen(0)

    def _listen(self, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def stop(self) -> None:
        """Nobody listens any more, and open connections are cut; what is stored stays."""
        self.away = True
        self._server.shutdown()
        self._server.server_close()

    def start(self) -> None:
        """Listens again, at the same port."""
        self._listen(self._server.server_address[1])
        self.__enter__()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def uri(self, path: str) -> str:
        """`s3://` address of a folder that leads to this server."""
        return f"s3://{path}?endpoint_override={self.endpoint}&scheme=http&region=us-east-1"

    def keys(self, prefix: str = "") -> list[str]:
        """Objects that are no empty markers of folders."""
        return sorted(key for key in list(self.objects) if key.startswith(prefix) and not key.endswith("/"))

    def __enter__(self) -> Self:
        self.away = False
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _handler(owner: S3Server) -> type[BaseHTTPRequestHandler]:
    class Handler(_Requests):
        store = owner

    return Handler


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms
    store: S3Server

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet."""

    def _serve(self) -> None:
        url = urlsplit(self.path)
        self.key = unquote(url.path).lstrip("/")
        self.query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        self.store.requests.append((self.command, self.key))
        time.sleep(self.store.latency)
        fault = "reset" if self.store.away else self.store.fault(self.command, self.key)
        if fault == "reset":
            self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
            return self._hang_up()
        body = self._body()
        if fault in ("503", "403"):
            return self._error(int(fault), {"503": "SlowDown", "403": "AccessDenied"}[fault])
        if f"Credential={KEY_ID}/" not in self.headers.get("Authorization", ""):
            return self._error(403, "InvalidAccessKeyId")
        if self.key.partition("/")[0] not in self.store.buckets:
            return self._error(404, "NoSuchBucket")
        self.lost = fault == "lost"
        with self.store.lock:
            getattr(self, f"_{self.command.lower()}")(body)
        return None

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve  # noqa: N815 - names that the library calls

    def _body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "chunked" in self.headers.get("Transfer-Encoding", "") and not data:
            data = self._chunks()
        return _unsigned(data) if "aws-chunked" in self.headers.get("Content-Encoding", "") else data

    def _chunks(self) -> bytes:
        data = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return data

    def _put(self, body: bytes) -> None:
        if "partNumber" in self.query:
            self.store.uploads.parts[self.query["uploadId"]][int(self.query["partNumber"])] = body
        else:
            self.store.objects[self.key] = (body, time.time())
        self._answer(200, headers={"ETag": _etag(body)})

    def _post(self, body: bytes) -> None:
        if "uploads" in self.query:
            upload = f"upload-{len(self.store.requests)}"
            self.store.uploads.parts[upload] = {}
            text = f"<UploadId>{upload}</UploadId>"
            return self._xml("InitiateMultipartUploadResult", text)
        if "delete" in self.query:
            bucket = self.key.strip("/")
            for key in re.findall(r"<Key>(.*?)</Key>", body.decode()):
                self.store.objects.pop(f"{bucket}/{key}", None)
            return self._xml("DeleteResult", "")
        parts = self.store.uploads.parts.pop(self.query["uploadId"])
        whole = b"".join(parts[number] for number in sorted(parts))
        self.store.objects[self.key] = (whole, time.time())
        return self._xml("CompleteMultipartUploadResult", f"<ETag>{escape(_etag(whole))}</ETag>")

    def _delete(self, body: bytes) -> None:
        if "uploadId" in self.query:
            self.store.uploads.parts.pop(self.query["uploadId"], None)
        else:
            self.store.objects.pop(self.key, None)
        self._answer(204)

    def _head(self, body: bytes) -> None:
        if not self.key.partition("/")[2]:
            return self._answer(200, headers={"x-amz-bucket-region": "us-east-1"})
        return self._get(body)

    def _get(self, body: bytes) -> None:
        bucket, _, key = self.key.partition("/")
        if not key:
            return self._list(bucket)
        found = self.store.objects.get(self.key)
        if found is None:
            return self._error(404, "NoSuchKey")
        data, modified = found
        headers = {"ETag": _etag(data), "Last-Modified": formatdate(modified, usegmt=True)}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted:
            first, last = int(wanted[1]), min(int(wanted[2]), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            return self._answer(206, data[first : last + 1], headers=headers)
        return self._answer(200, data, headers=headers)

    def _list(self, bucket: str) -> None:
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        after = self.query.get("continuation-token", "")
        entries: dict[str, tuple[bytes, float] | None] = {}
        for path in sorted(self.store.objects):
            key = path.removeprefix(f"{bucket}/")
            if path.startswith(f"{bucket}/{prefix}") and key > after:
                head, cut, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else (key, "", "")
                entries[prefix + head + cut if cut else key] = None if cut else self.store.objects[path]
        limit = min(self.store.page, int(self.query.get("max-keys", 1000)))
        shown = list(entries.items())[:limit]
        text = f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(shown)}</KeyCount>"
        more = len(entries) > limit
        text += f"<MaxKeys>{limit}</MaxKeys><IsTruncated>{'true' if more else 'false'}</IsTruncated>"
        if more:
            last = shown[-1][0]
            token = last + chr(0x10FFFF) if last.endswith("/") else last
            text += f"<NextContinuationToken>{escape(token)}</NextContinuationToken>"
        self._xml("ListBucketResult", text + "".join(_entry(*item) for item in shown))

    def _xml(self, root: str, text: str) -> None:
        body = f'<?xml version="1.0" encoding="UTF-8"?><{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{text}</{root}>'
        self._answer(200, body.encode(), headers={"Content-Type": "application/xml"})

    def _error(self, status: int, code: str) -> None:
        self.lost = False
        text = f"<Code>{code}</Code><Message>{code} for {escape(self.key)}</Message>"
        body = f"<?xml version='1.0'?><Error>{text}</Error>"
        self._answer(status, body.encode(), headers={"Content-Type": "application/xml"})

    def _answer(self, status: int, body: bytes = b"", *, headers: dict[str, str] | None = None) -> None:
        if self.lost:
            return self._hang_up()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return None

    def _hang_up(self) -> None:
        """Resets the connection: what was on its way is lost."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.wfile = self.rfile = _Closed()  # type: ignore[assignment]


class _Closed:
    """Takes the place of the streams of a connection that was reset."""

    closed = True

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def readline(self, *_: int) -> bytes:
        return b""


def _unsigned(data: bytes) -> bytes:
    """The content of a body that comes in signed chunks."""
    result = b""
    while data:
        head, _, rest = data.partition(b"\r\n")
        size = int(head.partition(b";")[0], 16)
        if not size:
            break
        result, data = result + rest[:size], rest[size + 2 :]
    return result


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def _entry(key: str, found: tuple[bytes, float] | None) -> str:
    if found is None:
        return f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>"
    data, modified = found
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(modified))
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{at}</LastModified>"
        f"<ETag>{escape(_etag(data))}</ETag><Size>{len(data)}</Size></Contents>"
    )
