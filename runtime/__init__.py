"""llamalet: Cloudflare Workers AI on your own machine.

    from runtime import Runtime

    with Runtime() as ai:
        print(ai.run("@cf/meta/llama-3.2-1b-instruct", {"prompt": "Why is the sky blue?"})["response"])

Importing this opens neither llama.cpp nor the Hugging Face hub: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.aio import AsyncRuntime, AsyncStream
    from runtime.engine.process import freeze_support
    from runtime.errors import LlamaletError
    from runtime.session import Runtime, Stream

__version__ = "0.1.0"

__all__ = [
    "AsyncRuntime",
    "AsyncStream",
    "LlamaletError",
    "Runtime",
    "Stream",
    "__version__",
    "freeze_support",
    "run_with_tools",
]

_HOMES = {
    "AsyncRuntime": "runtime.aio",
    "AsyncStream": "runtime.aio",
    "LlamaletError": "runtime.errors",
    "Runtime": "runtime.session",
    "Stream": "runtime.session",
    "freeze_support": "runtime.engine.process",
}


def run_with_tools(model: Any, messages: Any, *, ai: Runtime | None = None, **options: Any) -> dict[str, Any]:
    """`Runtime.run_with_tools` of `ai`, or of a runtime that is made for it and loads the model anew.

    Options are `tools`, `max_rounds`, `tool_timeout` (seconds), and those of `Runtime.run`.
    """
    if ai is not None:
        return ai.run_with_tools(model, messages, **options)
    from runtime.session import Runtime

    with Runtime() as ai:
        return ai.run_with_tools(model, messages, **options)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
