"""A web server on this machine that gives files as real ones do, and fails as real ones do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["FileServer", "serving"]


@dataclass
class FileServer:
    """What the server does; may be changed while it runs.

    Attributes:
        files: content by name.
        etag: of every file; empty for none.
        ranges: whether it continues a file.
        honest: whether it compares If-Range; a server that does not sends a range of whatever file it has.
        drop_after: bytes of a body after which each connection is closed; taken from the front, then none.
        pause_after: bytes of a body after which it waits for `resume`.
        errors: HTTP states to answer first.
        state: of an answer with the whole file.
        fields: further header fields of every answer with a file.
        terse: what it leaves out, "length" of a whole file or "validator" of a range.
        kind: content type.
        requests: (name, Range header) of every request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    etag: str = '"one"'
    ranges: bool = True
    honest: bool = True
    drop_after: list[int] = field(default_factory=list)
    pause_after: int | None = None
    errors: list[int] = field(default_factory=list)
    state: int = 200
    fields: dict[str, str] = field(default_factory=dict)
    terse: frozenset[str] = frozenset()
    kind: str = "application/octet-stream"
    requests: list[tuple[str, str]] = field(default_factory=list)
    resume: threading.Event = field(default_factory=threading.Event)
    paused: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def url(self, name: str) -> str:
        """Where a file is."""
        return f"{self.address}/{name}"


@contextmanager
def serving() -> Iterator[FileServer]:
    """A server without files on a free port of this machine."""
    plan = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, plan)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    plan.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield plan
    finally:
        plan.resume.set()
        server.shutdown()
        server.server_close()


def _answer(request: BaseHTTPRequestHandler, plan: FileServer) -> None:
    name, wanted = request.path.lstrip("/"), request.headers.get("Range", "")
    plan.requests.append((name, wanted))
    if plan.errors:
        request.send_error(plan.errors.pop(0))
    elif name not in plan.files:
        request.send_error(404)
    else:
        _send(request, plan, plan.files[name], wanted)


def _send(request: BaseHTTPRequestHandler, plan: FileServer, content: bytes, wanted: str) -> None:
    same = not plan.honest or request.headers.get("If-Range", plan.etag) == plan.etag
    start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and plan.ranges and same else 0
    if start > len(content):
        request.send_error(416)
        return
    request.send_response(206 if start else plan.state)
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    request.send_header("Content-Type", plan.kind)
    if start or "length" not in plan.terse:
        request.send_header("Content-Length", str(len(content) - start))
    for name, value in plan.fields.items():
        request.send_header(name, value)
    if plan.etag and not (start and "validator" in plan.terse):
        request.send_header("ETag", plan.etag)
    request.end_headers()
    _body(request, plan, content[start:])


def _body(request: BaseHTTPRequestHandler, plan: FileServer, content: bytes) -> None:
    try:
        if plan.drop_after:
            request.wfile.write(content[: plan.drop_after.pop(0)])
            request.close_connection = True
        elif plan.pause_after is not None:
            request.wfile.write(content[: plan.pause_after])
            request.wfile.flush()
            plan.paused.set()
            plan.resume.wait(60)
            request.wfile.write(content[plan.pause_after :])
        else:
            request.wfile.write(content)
    except OSError:  # the client left: a probe, or one that was killed
        request.close_connection = True
