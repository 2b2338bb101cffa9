"""The HTTP server on a free port of loopback, in a thread of the test's own process."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx

from runtime import catalog
from runtime.aio import AsyncRuntime
from runtime.engine.local import LocalEngine
from runtime.server import listen
from runtime.server.app import application
from runtime.store import records
from tests.fake_engine import FakeEngine
from tests.rawgguf import model_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from runtime.engine import EngineConfig
    from runtime.values import Event

ACCOUNT = "0123456789abcdef" * 2
PATIENCE = 30  # seconds until a client that waits gives up


@dataclass(frozen=True)
class Running:
    """A server that answers. `ai` is what it answers with."""

    url: str
    ai: AsyncRuntime
    server: listen.Server

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def run(self, model: str) -> str:
        """The address of a model."""
        return f"{self.url}/ai/run/{model}"


@contextlib.contextmanager
def serving(*, model: str | None = None, drain: float = 5.0, **options: Any) -> Iterator[Running]:
    """Options are those of `Runtime`; `model` is loaded at the start."""
    ai = AsyncRuntime(**{"host": "127.0.0.1", "port": 0, **options})
    sockets = listen.open_sockets(ai.settings)
    server = listen.Server(ai, application(ai, model=model), drain=drain)
    thread = threading.Thread(target=server.run, args=(sockets,))
    thread.start()
    try:
        yield Running(listen.url(sockets), ai, server)
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


class Hub:
    """A cache of the Hugging Face hub, at `folder`, that has tiny models in the place of real ones."""

    def __init__(self, folder: Path, models: Mapping[str, Path]) -> None:
        """By name of the model: the file that is run for it."""
        self.folder, self._models = folder, {}
        self.hashes: dict[Path, str] = {}
        for name, model in models.items():
            spec = catalog.load().find(name).spec
            quant = spec.quant(spec.default_quant)
            repository = folder / f"models--{spec.repo.replace('/', '--')}"
            file = repository / "snapshots" / spec.revision / quant.file
            file.parent.mkdir(parents=True)
            (repository / "refs").mkdir()
            shutil.copy(model, file)
            assert quant.size is not None
            os.truncate(file, quant.size)  # sparse: it takes no room
            assert quant.sha256 is not None
            self.hashes[file] = quant.sha256
            records.remember(file, quant.sha256)  # else it would be read, and found not to be the real one
            self._models[file] = model

    def engine(self, config: EngineConfig, progress: Callable[[float], None]) -> LocalEngine:
        """For `make_engine`: runs the tiny file itself, since llama.cpp would read all of the sparse one."""
        return LocalEngine(replace(config, model=self._models[config.model], threads=1), progress=progress)


MODELS = """
[[model]]
id = "@cf/meta/tiny"
aliases = ["t"]
path = "tiny.gguf"

[[adapter]]
name = "tales"
path = "tales.gguf"
"""


class Scripted:
    """A client of a server that has the model "tiny", whose engine follows the scripts that a test puts in."""

    def __init__(self, running: Running, engine: FakeEngine) -> None:
        self.running, self.engine = running, engine
        self.http = httpx.Client(base_url=running.url, trust_env=False, timeout=PATIENCE)

    def will(self, *scripts: list[Event] | Exception) -> Scripted:
        """What the engine does with the next requests."""
        self.engine.scripts.extend(scripts)
        return self

    def ask(self, body: Any = None, path: str = "/ai/run/tiny", **options: Any) -> httpx.Response:
        """POST JSON, or the bytes that `content` gives."""
        if "content" not in options:
            options["json"] = {"prompt": "Hi"} if body is None else body
        return self.http.post(path, **options)

    def post(self, path: str) -> tuple[int, Any]:
        """Status and JSON, for a path that is sent just as it is written."""
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("POST", path, b'{"prompt": "Hi"}')
            reply = connection.getresponse()
            return reply.status, json.load(reply)

    def raw(self, *parts: bytes) -> bytes:
        """Send these bytes, and read to the end of the connection."""
        with self.connection() as connection:
            connection.sendall(b"".join(parts))
            return read_all(connection)

    def connection(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.running.port), PATIENCE)


@contextlib.contextmanager
def scripted(folder: Path, *, make_engine: Any = None, **options: Any) -> Iterator[Scripted]:
    """`make_engine` takes the place of the scripted engine; `serving` takes the other options."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.gguf").write_bytes(model_bytes())
    (folder / "models.toml").write_text(MODELS)
    engine = FakeEngine()
    make = make_engine or (lambda *_: engine)
    with serving(models=folder / "models.toml", make_engine=make, **options) as running:
        client = Scripted(running, engine)
        with client.http:
            yield client


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def request(body: bytes = b'{"prompt": "Hi"}', *fields: str, path: str = "/ai/run/tiny", version: str = "1.1") -> bytes:
    """A POST as bytes, with these header fields besides the Host."""
    head = [f"POST {path} HTTP/{version}", "Host: localhost", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


def code_of(reply: httpx.Response) -> tuple[int, int]:
    """HTTP status, and code of the one error."""
    (error,) = reply.json()["errors"]
    return reply.status_code, error["code"]


def said_by(reply: httpx.Response) -> str:
    message: str = reply.json()["errors"][0]["message"]
    return message
