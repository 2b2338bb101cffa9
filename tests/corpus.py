"""The crash corpus: what kills, hangs or misleads llama.cpp or what stands around it, at our own doors.

Every line of the reference's experiments is a case here or several: a request over HTTP, a run from Python, or a call
of the facade, with what must come of it. A case says so by assertions, and its name is what its input is. `run` does
one twice, in a child (`tests.limited`), and asks afterwards for two answers that are known.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from runtime import Runtime
from runtime.engine.llama import Context, Model
from tests.limited import spent
from tests.models import canary_adapter, canary_model, expected, key_token
from tests.servers import Running, serving

Case = Callable[["World"], object]

KEY, LENGTH = 7, 6
QUESTION: dict[str, Any] = {"prompt": key_token(KEY), "max_tokens": LENGTH, "temperature": 0}
CATALOGUE = """
[[model]]
id = "canary"
path = "canary.gguf"

[[adapter]]
name = "next"
path = "next.gguf"
"""


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes

    @property
    def code(self) -> int:
        return int(json.loads(self.body)["errors"][0]["code"])

    @property
    def result(self) -> Any:
        return json.loads(self.body)["result"]


class World:
    """What cases are tried on: a server, a `Runtime`, and the facade's own objects, all on the canary."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._last = folder, contextlib.ExitStack()
        canary_model(self.file("canary"))
        canary_adapter(self.file("next"))
        self.catalogue = folder / "models.toml"
        self.catalogue.write_text(CATALOGUE)

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.gguf"

    def written(self, content: bytes) -> Path:
        """A file of its own for a case that needs one."""
        path = self.file("case")
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        return path

    @cached_property
    def server(self) -> Running:
        return self._last.enter_context(serving(models=self.catalogue, threads=1, context=2048))

    @cached_property
    def ai(self) -> Runtime:
        return self._last.enter_context(Runtime(models=self.catalogue, threads=1, context=2048))

    @cached_property
    def model(self) -> Model:
        return Model(self.file("canary"))

    @cached_property
    def context(self) -> Context:
        return Context(self.model, n_ctx=256, n_batch=64, n_seq_max=2, threads=1)

    def post(self, body: Any, *, path: str = "/ai/run/canary") -> Reply:
        """body: bytes as they are, or what JSON can hold."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body))
            reply = connection.getresponse()
            return Reply(reply.status, reply.read())

    def check(self) -> None:
        """Both answer, and rightly."""
        reply = self.post(QUESTION)
        assert (reply.status, reply.result["response"]) == (200, expected(KEY, LENGTH))
        assert self.ai.run("canary", QUESTION)["response"] == expected(KEY, LENGTH)


# -- what a case does ------------------------------------------------------------------------------------------------


def refused(status: int, body: Any, **options: Any) -> Case:
    """Over HTTP, with this status and an error of ours."""
    sent = body if isinstance(body, bytes) else {**QUESTION, **body, **options}

    def case(world: World) -> None:
        reply = world.post(sent)
        assert (reply.status, bool(reply.code)) == (status, True), reply

    return case


def answered(body: dict[str, Any], fits: Callable[[Any], object] = lambda result: True) -> Case:
    """Over HTTP, with a result that fits."""

    def case(world: World) -> None:
        reply = world.post({**QUESTION, **body})
        assert reply.status == 200, reply
        assert fits(reply.result), reply

    return case


def raises(error: type[Exception], call: Callable[[World], object], words: str | None = None) -> Case:
    """From Python, with that error, the words in it."""

    def case(world: World) -> None:
        with pytest.raises(error, match=words):
            call(world)

    return case


def canary_answers(result: Any) -> bool:
    return bool(result["response"] == expected(KEY, LENGTH))


# -- the child -------------------------------------------------------------------------------------------------------

_world: list[World] = []


def world() -> World:
    """The one of this process, made by the first case."""
    if not _world:
        folder = Path(tempfile.mkdtemp(dir=os.environ.get("HOME")))  # the test's, which removes it
        _world.append(World(folder))
        _world[0].check()  # so that no case pays for what is loaded once
    return _world[0]


def run(name: str) -> dict[str, Any]:
    """Try a case twice: what was wrong, if anything, and CPU seconds of the slower."""
    from tests import corpus_cases

    here, seconds = world(), [0.0]
    try:
        for _ in range(2):
            with spent() as took:
                corpus_cases.CASES[name](here)
            seconds += took
            here.check()
    except (Exception, pytest.fail.Exception):
        return {"wrong": traceback.format_exc(limit=-3), "seconds": max(seconds)}
    return {"wrong": None, "seconds": max(seconds)}
