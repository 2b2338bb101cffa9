"""A Hugging Face hub on loopback, and the server that it redirects to for large files: real HTTP, honest headers.

`python -m tests.hub FILE...` serves files as `me/models` until it is stopped, to try the command line by hand.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "me/models"
PIECE = 16 << 10  # bytes sent at once


@dataclass
class Fault:
    """How one answer differs from the right one. cut: close after so many bytes. flip: change that byte of the file.

    status: answer so instead, with `after` as Retry-After. plain: know nothing of ranges. rate: bytes a second.
    unsized: the end of the body is that of the connection, with nobody told of its size. shift: the range begins so
    many bytes later.
    """

    status: int = 0
    after: str | None = None
    cut: int | None = None
    flip: int | None = None
    plain: bool = False
    rate: float | None = None
    unsized: bool = False
    shift: int = 0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    """One that came: to the hub ("hub") or to the server of large files ("large"), and the bytes of body it got."""

    server: str
    method: str
    path: str
    headers: dict[str, str]
    sent: int = 0


class LoopbackHub:
    """Serves `files` of the repository `REPO` at `COMMIT`, which `main` means. url is its HF_ENDPOINT.

    faults and hub_faults are taken from the front, one an answer with a body, or one an answer of the hub itself.
    token: without it the repository looks as if it were not there. gated: with "terms" nobody has accepted them.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.hub_faults: list[Fault] = []
        self.always: Fault | None = None
        self.token: str | None = None
        self.gated = False
        self.small = False  # files stand in git itself, and not in LFS
        self.generation = 0  # part of the large server's ETag
        self.grown = b""  # what the large server has beyond what the hub says
        self._servers = [_server(self, "hub"), _server(self, "large")]
        self.url, self.large = (f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers)

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def sha256(self, file: str) -> str:
        return hashlib.sha256(self.files[file]).hexdigest()

    @property
    def bodies(self) -> list[Request]:
        """Requests for bytes."""
        return [one for one in self.requests if one.method == "GET" and one.sent]

    @property
    def sent(self) -> int:
        return sum(one.sent for one in self.requests)


@contextlib.contextmanager
def serving(files: dict[str, bytes]) -> Iterator[LoopbackHub]:
    hub = LoopbackHub(files)
    try:
        yield hub
    finally:
        hub.close()


def _server(hub: LoopbackHub, name: str) -> ThreadingHTTPServer:
    class Handler(_Handler):
        pass

    Handler.hub, Handler.name = hub, name
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LoopbackHub
    name: str

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # clients are killed here
            super().handle()

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.request_ = Request(self.name, self.command, self.path, dict(self.headers))
        self.hub.requests.append(self.request_)
        with contextlib.suppress(ConnectionError):
            if self.name == "hub":
                self._resolve()
            else:
                self._send(self.path.partition("?")[0].rpartition("/")[2], Fault())

    # -- the hub -----------------------------------------------------------------------------------------------------

    def _resolve(self) -> None:
        hub = self.hub
        if hub.hub_faults:
            fault = hub.hub_faults.pop(0)
            return self._refuse(fault.status, fault.headers | ({"Retry-After": fault.after} if fault.after else {}))
        found = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([\w.-]+)/([\w./-]+)", self.path)
        signed = self.headers.get("Authorization")
        if not found or found[1] != REPO or (hub.token and signed != f"Bearer {hub.token}" and not hub.gated):
            return self._refuse(404 if signed else 401, {"X-Error-Code": "RepoNotFound"})
        if hub.gated:
            return self._refuse(403 if signed else 401, {"X-Error-Code": "GatedRepo"})
        if found[2] not in ("main", COMMIT):
            return self._refuse(404, {"X-Error-Code": "RevisionNotFound"})
        if found[3] not in hub.files:
            return self._refuse(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        if hub.small:
            return self._send(found[3], Fault(headers={"X-Repo-Commit": COMMIT}))
        content = hub.files[found[3]]
        headers = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(content)), "Content-Length": "0"}
        headers["X-Linked-Etag"] = f'"{hub.sha256(found[3])}"'
        headers["Location"] = f"{hub.large}/bucket/{found[3]}?signature={len(hub.requests)}"
        return self._head(302, headers)

    def _refuse(self, status: int, headers: dict[str, str]) -> None:
        self._head(status, headers | {"Content-Length": "0"})

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    # -- the bytes ---------------------------------------------------------------------------------------------------

    def _send(self, file: str, fault: Fault) -> None:
        hub = self.hub
        if self.command == "GET":
            given = hub.faults.pop(0) if hub.faults else hub.always or Fault()
            given.headers |= fault.headers
            fault = given
        if self.name == "large" and self.headers.get("Authorization"):
            return self._refuse(400, {})  # the user's token is nobody else's business
        if fault.status:
            return self._refuse(fault.status, {"Retry-After": fault.after} if fault.after else {})
        content = hub.files[file] + hub.grown
        etag = hashlib.sha1(content).hexdigest() if hub.small else f"{len(content)}-{hub.generation}"
        start = self._start(f'"{etag}"', len(content), fault)
        if start is None:
            return self._refuse(416, {"Content-Range": f"bytes */{len(content)}"})
        headers = fault.headers | {"ETag": f'"{etag}"', "Content-Length": str(len(content) - start)}
        if fault.unsized:
            del headers["Content-Length"]
            headers["Connection"] = "close"
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._head(206 if start else 200, headers)
        return None if self.command == "HEAD" else self._body(content, start, fault)

    def _start(self, etag: str, size: int, fault: Fault) -> int | None:
        """Where the body begins; None where there is nothing."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if fault.plain or not found or self.headers.get("If-Range", etag) != etag:
            return 0
        return int(found[1]) + fault.shift if int(found[1]) < size else None

    def _body(self, content: bytes, start: int, fault: Fault) -> None:
        if fault.flip is not None:
            content = content[: fault.flip] + bytes([content[fault.flip] ^ 1]) + content[fault.flip + 1 :]
        end = len(content) if fault.cut is None else start + fault.cut
        for at in range(start, end, PIECE):
            piece = content[at : min(at + PIECE, end)]
            self.wfile.write(piece)
            self.request_.sent += len(piece)
            if fault.rate:
                time.sleep(len(piece) / fault.rate)
        if end < len(content) or fault.unsized:
            self.close_connection = True


def main() -> None:
    with serving({Path(name).name: Path(name).read_bytes() for name in sys.argv[1:]}) as hub:
        hub.always = Fault(rate=2e6)
        sys.stdout.write("\n".join([f"HF_ENDPOINT={hub.url}", *(f"hf:{REPO}/{name}" for name in hub.files), ""]))
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
