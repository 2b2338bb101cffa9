"""A server that is asked about the weather: what it says is known. Beside it a model of random weights, held to tools
and schemas all the same."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from huggingface_hub import constants

from tests.callers import PIECES, WEATHER, WORDS
from tests.models import canary_model, key_token, random_model
from tests.servers import Hub, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runtime.engine import Emit, Engine, EngineConfig
    from runtime.values import Request
    from tests.servers import Running

TOKEN = "a-token-of-the-suite"
CALLER, RANDOM = "@cf/meta/llama-3.2-1b-instruct", "@cf/meta/llama-3.2-3b-instruct"
RIVERS = 6
SAYS = {
    **PIECES,
    RIVERS: [
        '{"name": "riv',
        'ers", "param',
        'eters": {"riv',
        'ers": ["Rhi',
        'ne", "P',
        'o"], "l',
        "eng",
        'th": ',
        "3}}",
    ],
}
TOOLS = [WEATHER, {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}}]
TEXT = "It will be sunny for three days in Rome."
ROME: list[Any] = [["weather", {"city": "Rome", "days": 3}]]
OSLO: list[Any] = [["weather", {"city": "Oslo"}], ["now", {}]]
# Said by a tool: a key three times, where the question has another once, so that the answer is to this one.
FORECAST = f"{key_token(WORDS) * 3} sunny"
SCHEMA = {
    "type": "object",
    "title": "rivers",
    "description": "Rivers of Europe.",
    "properties": {
        "rivers": {"type": "array", "items": {"type": "string", "maxLength": 8}, "minItems": 2, "maxItems": 3},
        "length": {"type": "integer"},
    },
    "required": ["rivers", "length"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Unheld:
    """An engine that does not hold calls to their tools' schemas: what the canary writes is fixed, and only read."""

    engine: Engine
    death = None

    def submit(self, request: Request, emit: Emit) -> None:
        self.engine.submit(replace(request, constrain_tools=False), emit)

    def cancel(self, request_id: str) -> None:
        self.engine.cancel(request_id)

    def close(self) -> None:
        self.engine.close()


@contextlib.contextmanager
def weather_service(folder: Path, **options: Any) -> Iterator[Running]:
    """Options are those of `Runtime`."""
    canary_model(folder / "caller.gguf", says=SAYS, eos_after=9)
    random_model(folder / "random.gguf", context=4096)
    hub = Hub(folder / "hub", {"1b": folder / "caller.gguf", "3b": folder / "random.gguf"})

    def engine(config: EngineConfig, progress: Callable[[float], None]) -> Engine:
        made = hub.engine(config, progress)
        return Unheld(made) if "1B" in config.model.name else made

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub.folder))
        with serving(**{"token": TOKEN, **options}, make_engine=engine, keep_alive=-1) as running:
            for model in (CALLER, RANDOM):  # now, since each test has a cache of its own
                asyncio.run(running.ai.load(model))
            yield running


def about(key: int, /, **asked: Any) -> dict[str, Any]:
    """The arguments of a call: a question to which the answer is known."""
    content = f"What will the weather be? {key_token(key)}"
    return {"model": CALLER, "content": content, **asked}
