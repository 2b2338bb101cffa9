"""The tools that a program passes in, and the running of one that a model called: nothing else is ever run.

What goes wrong in a tool is told to the model: arguments that its schema does not have, exceptions, results that are no
JSON, and that it took too long.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent import futures
from typing import TYPE_CHECKING, Any

from runtime.errors import InvalidRequest
from runtime.messages import expected, is_array
from runtime.signatures import tool_of
from runtime.tools import MAX_ERROR, as_definition, as_tool, complaints, validator
from runtime.values import Tool
from runtime.wire.body import plain

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

GRACE = 1.0  # seconds after its time, and after its caller was told so, until a coroutine in a thread is cancelled


class Toolbox:
    """Tools by their names. Each is given as a function, or as a definition, which may have the function in it."""

    def __init__(self, tools: Sequence[Callable[..., Any] | Mapping[str, Any] | Tool]) -> None:
        """Raises `InvalidRequest` for what is neither, and for parameters that are no JSON Schema."""
        if not is_array(tools):
            expected("tools", "an array of functions or definitions", tools)
        self.definitions: list[Mapping[str, Any]] = []
        self._functions: dict[str, Callable[..., Any]] = {}
        self._validators: dict[str, Validator] = {}
        for at, tool in enumerate(tools):
            self._add(tool, f"tools[{at}]")

    def _add(self, tool: Any, path: str) -> None:
        if not (callable(tool) or isinstance(tool, Mapping | Tool)):
            expected(path, "a function or a definition", tool)
        function = tool if callable(tool) else tool.get("function") if isinstance(tool, Mapping) else None
        shown = as_definition(tool_of(tool, path) if callable(tool) else tool)
        definition = {key: value for key, value in shown.items() if not callable(value)}
        self.definitions.append(definition)
        known = as_tool(definition)
        if known and callable(function):  # one without a name is refused with the request
            self._functions[known.name] = function
            self._validators[known.name] = validator(known.parameters, path)

    def runs(self, call: Mapping[str, Any]) -> bool:
        """Whether the tool that is called has a function."""
        return call["name"] in self._functions

    def perform(self, call: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Run the tool. Gives id, name and arguments of the call, its `result` or an `error`, and the `seconds` of it.

        A function that takes longer goes on in its thread, since nothing can end it, and its result is dropped.
        """
        begun = time.monotonic()
        told = self._complaint(call)
        if not told:
            running = _started(self._functions[call["name"]], call["arguments"], seconds)
            futures.wait([running], seconds)
            told = _told(running, seconds)
        return _outcome(call, told, begun)

    async def perform_async(self, call: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """As `perform`; a coroutine function runs in this event loop, and is cancelled when it takes too long."""
        begun = time.monotonic()
        told = self._complaint(call)
        if not told:
            function, arguments = self._functions[call["name"]], call["arguments"]
            running: asyncio.Future[Any]
            if inspect.iscoroutinefunction(function):
                running = asyncio.ensure_future(function(**arguments))
            else:
                running = asyncio.wrap_future(_started(function, arguments, seconds))
            try:
                await asyncio.wait({running}, timeout=seconds)
                told = _told(running, seconds)
            finally:
                running.cancel()
        return _outcome(call, told, begun)

    def _complaint(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """What of the arguments does not satisfy the tool's schema, as an error."""
        wrong = complaints(self._validators[call["name"]], call["arguments"])
        return {"error": wrong} if wrong else {}


def _started(function: Callable[..., Any], arguments: Mapping[str, Any], seconds: float) -> futures.Future[Any]:
    """The function, running in a thread of its own, which does not keep the program alive."""
    future: futures.Future[Any] = futures.Future()
    future.set_running_or_notify_cancel()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            future.set_result(context.run(_called, function, arguments, seconds))
        except BaseException as error:  # SystemExit too: whatever it is, the model is told
            future.set_exception(error)

    threading.Thread(target=work, name="llamalet-tool", daemon=True).start()
    return future


def _called(function: Callable[..., Any], arguments: Mapping[str, Any], seconds: float) -> Any:
    result = function(**arguments)
    return asyncio.run(_awaited(result, seconds + GRACE)) if inspect.isawaitable(result) else result


async def _awaited(result: Awaitable[Any], seconds: float) -> Any:
    async with asyncio.timeout(seconds):
        return await result


def _told(running: futures.Future[Any] | asyncio.Future[Any], seconds: float) -> dict[str, Any]:
    """What came of a run, or that it has not come to its end."""
    if not running.done():
        return {"error": f"It took longer than {seconds:g} seconds."}
    error = asyncio.CancelledError() if running.cancelled() else running.exception()
    if error is not None:
        return {"error": f"{type(error).__name__}: {error}".removesuffix(": ")[:MAX_ERROR]}
    try:
        return {"result": plain(running.result(), "The result")}
    except InvalidRequest as wrong:
        return {"error": wrong.message}


def _outcome(call: Mapping[str, Any], told: Mapping[str, Any], begun: float) -> dict[str, Any]:
    named = {key: call[key] for key in ("id", "name", "arguments")}
    return {**named, **told, "seconds": round(time.monotonic() - begun, 3)}
