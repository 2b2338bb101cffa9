"""Bodies that nobody would send, at every address that takes one: each is answered or refused in form, none is a fault
of ours, none takes long, and the next right one is answered. FUZZ_EXAMPLES is how many; their dice is seeded.

In process, through the whole application but for sockets. `test_fuzz.py` has those that follow the schemas, over HTTP.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx

from runtime import AsyncRuntime
from runtime.server.app import application
from runtime.server.guards import MAX_BODY
from tests.counts import examples
from tests.fake_engine import FakeEngine
from tests.gate import PATIENCE
from tests.rawgguf import model_bytes
from tests.servers import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = examples(2000)
HANG = 2.0  # seconds of a processor that no answer takes, whatever else the machine does
NATIVE, CHAT_AT, TEXT_AT, RESPONSES = "/ai/run/tiny", "/v1/chat/completions", "/v1/completions", "/v1/responses"
ADDRESSES = (NATIVE, CHAT_AT, TEXT_AT, RESPONSES, "/ai/v1/chat/completions")

CHAT = [{"role": "user", "content": "Hi"}]
TOOL = {"name": "sum", "description": "adds", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 5}}, "required": ["a"]}
BODIES: list[tuple[str, dict[str, Any]]] = [
    (NATIVE, {"prompt": "Hi", "max_tokens": 5, "temperature": 0.5, "seed": 1, "stream": True}),
    (NATIVE, {"messages": CHAT, "top_p": 0.5, "top_k": 5, "repetition_penalty": 1.1, "raw": False}),
    (NATIVE, {"messages": CHAT, "tools": [TOOL], "functions": [{"name": "f", "code": "g"}]}),
    (NATIVE, {"messages": CHAT, "response_format": {"type": "json_schema", "json_schema": SCHEMA}}),
    (NATIVE, {"prompt": "Hi", "lora": "tales", "frequency_penalty": 1, "presence_penalty": 0}),
    (CHAT_AT, {"messages": CHAT, "model": "tiny", "tools": [{"type": "function", "function": TOOL}], "stop": ["a"]}),
    (CHAT_AT, {"messages": [{"role": "system", "content": "x"}, *CHAT], "model": "tiny", "n": 2, "stream": True}),
    (TEXT_AT, {"model": "tiny", "prompt": "Hi", "logprobs": 2, "echo": False, "logit_bias": {"5": 1}, "user": "me"}),
    (RESPONSES, {"model": "tiny", "input": "Hi", "instructions": "Be brief.", "max_output_tokens": 9}),
]
KEYS = (*sorted({key for _, body in BODIES for key in body}), "grammar", "image", "requests", "", "\0", "x" * 999)
NUMBERS = (0, -0.0, -1, 1, 0.5, 256, 257, 2**31, 2**32 - 1, 2**53 + 1, 2**63, -(2**64), 10**30, 1e308, -1e308, 5e-324)
TEXTS = (
    *("", " ", "a", "true", "5", "\0", "\ud800", "a\udfff", "\u2028", "<|eot_id|>", "🦙", "x" * 5000, "../x"),
    *("auto", "none", "tiny", "user", "json_object", "{}", "[]", "\r\n\r\ndata: [DONE]", "%s%n", "${x}"),
)
# What stands for a value in the text, and `json.dumps` would never write.
RAW = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "9" * 400, "9" * 5000, "-0", "01", "1.", "+1"),
    *("0x1", "'a'", '"\\ud800"', '"\\u12"', '"\\x"', '"', "{", "]", "", ",", "undefined", '{"a":1,"a":2}'),
    *("[" * 70 + "]" * 70, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, '"\\u0000"'),
)
MARK = "@raw@"


class Dice(random.Random):
    """Makes bodies."""

    def value(self, depth: int = 0) -> Any:
        """Anything."""
        how = self.randrange(9 if depth < 3 else 6)
        if how >= 7:
            return {self.choice(KEYS): self.value(depth + 1) for _ in range(self.randrange(4))}
        if how == 6:
            return [self.value(depth + 1) for _ in range(self.randrange(4))]
        return self.choice(
            ((None, True, False), NUMBERS, TEXTS, (MARK,), (self.random() * 10, self.randrange(-9, 999)), TEXTS)[how]
        )

    def spoilt(self, value: Any) -> Any:
        """With one thing in it that is different, missing, or more."""
        if not isinstance(value, dict | list) or not value or self.random() < 0.25:
            return self.choice((self.value, lambda: [value], lambda: {"a": value}, lambda: str(value), lambda: MARK))()
        if isinstance(value, list):
            at = self.randrange(len(value))
            return self.choice(([*value[:at], self.spoilt(value[at]), *value[at + 1 :]], value * 3, value[:at]))
        key = self.choice(list(value))
        how = self.randrange(6)
        if how == 0:
            return {name: each for name, each in value.items() if name != key}
        if how == 1:
            return value | {self.choice(KEYS): self.value()}
        return value | {key: self.spoilt(value[key])}

    def request(self) -> tuple[str, bytes]:
        """An address, and a body, for which it is the right one, mostly."""
        value: Any
        path, value = self.choice(BODIES)
        for _ in range(self.choice((0, 1, 1, 1, 2, 4))):
            value = self.spoilt(value)
        text = json.dumps(value, ensure_ascii=self.random() < 0.7)
        while f'"{MARK}"' in text:
            text = text.replace(f'"{MARK}"', self.choice(RAW), 1)
        body = text.encode("utf-8", "surrogatepass")
        path = self.choice(ADDRESSES) if self.random() < 0.1 else path
        return path, self.broken(body) if self.random() < 0.2 else body

    def broken(self, body: bytes) -> bytes:
        """As bytes."""
        at = self.randrange(len(body) + 1)
        changes: tuple[Callable[[], bytes], ...] = (
            lambda: body[:at],
            lambda: body[:at] + self.randbytes(3) + body[at:],
            lambda: body[:at] + body[at + 1 :],
            lambda: body + body,
            lambda: b"\xef\xbb\xbf" + body,
            lambda: body.decode("utf-8", "replace").encode("utf-16"),
            lambda: body.replace(b":", b": ", 1) + b" " * self.choice((0, MAX_BODY - len(body) - 1, MAX_BODY)),
            lambda: self.randbytes(50),
        )
        return self.choice(changes)()


class Server:
    """The application, asked without sockets."""

    def __init__(self, folder: Path) -> None:
        (folder / "tiny.gguf").write_bytes(model_bytes())
        (folder / "models.toml").write_text(MODELS)
        self.ai = AsyncRuntime(models=folder / "models.toml", make_engine=lambda *_: FakeEngine())
        transport = httpx.ASGITransport(application(self.ai))  # raises what the application does
        self.http = httpx.AsyncClient(transport=transport, base_url="http://localhost", trust_env=False)

    async def ask(self, path: str, body: bytes) -> tuple[int, bytes]:
        start = time.process_time()
        async with asyncio.timeout(PATIENCE):
            reply = await self.http.post(path, content=body)
        took = time.process_time() - start
        assert took < HANG, f"took {took:.1f} s"
        return reply.status_code, reply.content


def check(path: str, status: int, said: bytes) -> str:
    """What became of a request, which must be in one of the forms that there are."""
    if status == 200:
        if said.startswith((b"data: ", b"event: ", b": ")):
            return "a stream"
        assert json.loads(said)
        return "an answer"
    told = json.loads(said)
    error = told["error"] if path.startswith("/v1/") else told["errors"][0]
    assert error["message"]
    assert 400 <= status < 500 or (status, "not supported" in error["message"]) == (501, True), (status, error)
    assert len(error["message"]) < 3000
    return str(status)


def test_whatever_comes_is_answered_or_refused_in_form_and_the_next_request_rightly(tmp_path: Path) -> None:
    async def main() -> Counter[str]:
        server, dice, found = Server(tmp_path), Dice(COUNT), Counter[str]()
        async with server.ai:
            for number in range(COUNT):
                path, body = dice.request()
                try:
                    found[check(path, *await server.ask(path, body))] += 1
                    if number % 10 == 0:
                        status, said = await server.ask("/ai/run/tiny", b'{"prompt": "Hi"}')
                        assert (status, json.loads(said)["result"]["response"]) == (200, "ok")
                except Exception as wrong:
                    raise AssertionError(f"number {number}: {path} {body[:500]!r} of {len(body)} bytes") from wrong
        return found

    found = asyncio.run(main())
    sys.stdout.write(f"\n{COUNT} bodies: {dict(found)}\n")  # for whoever runs this with -s
    assert found.total() == COUNT
    assert len(found) >= 4
