"""Rounds of asking a model and running the tools that it calls, as `runWithTools` of `@cloudflare/ai-utils` does."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Protocol

from runtime.errors import ConfigError, InvalidRequest, Unsupported
from runtime.messages import expected, is_array
from runtime.toolbox import Toolbox

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from runtime.settings import Settings
    from runtime.values import Message, Tool

    Model = str | os.PathLike[str]
    Messages = Sequence[Mapping[str, Any] | Message]
    Tools = Sequence[Callable[..., Any] | Mapping[str, Any] | Tool]

ROUNDS = 5  # more than a small model needs that has not lost its way
TIMEOUT = 60.0  # seconds for each call of a tool

log = logging.getLogger("llamalet")


class Asked(Protocol):
    """Of `Runtime` and of `AsyncRuntime`."""

    settings: Settings

    def run(self, model: Model, inputs: Mapping[str, Any], /) -> Any: ...


class Rounds:
    """A conversation with a model and with the tools that it calls."""

    def __init__(
        self, ai: Asked, messages: Messages, tools: Tools, max_rounds: int, options: Mapping[str, Any]
    ) -> None:
        if ai.settings.parity:
            raise ConfigError("run_with_tools needs the ids of calls, which parity leaves out.", "Turn parity off.")
        if not is_array(messages):
            expected("messages", "an array of messages", messages)
        if max_rounds < 1:
            raise InvalidRequest(f"max_rounds is {max_rounds}; it must be at least 1.")
        if options.get("stream"):
            raise Unsupported("stream is not supported by run_with_tools.", "Leave it out.")
        self.toolbox = Toolbox(tools)
        self._messages, self._left, self._options = list(messages), max_rounds, dict(options)
        self._trace: list[dict[str, Any]] = []
        self._answer: dict[str, Any] = {}

    def body(self) -> dict[str, Any]:
        """What the model is asked next. A tool may be required in the first round only, and is shown in none after the
        last."""
        body = {**self._options, "messages": self._messages, "tools": self.toolbox.definitions}
        if not self._left:
            log.info("the last of %d rounds of tools is over: the model answers without", len(self._trace))
            return {**body, "tool_choice": "none"}
        return {**body, "tool_choice": "auto"} if self._trace else body

    def take(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        """The calls to be run now; none when it is over."""
        self._answer = answer
        calls = answer["tool_calls"]
        said = {"role": "assistant", "content": answer["response"]}
        self._messages.append({**said, "tool_calls": calls} if calls else said)
        return calls if all(map(self.toolbox.runs, calls)) else []

    def tell(self, outcomes: list[dict[str, Any]]) -> None:
        """What came of the calls."""
        self._left -= 1
        asked = {key: self._answer[key] for key in ("response", "tool_calls", "usage")}
        self._trace.append({**asked, "results": outcomes})
        self._messages += [_message(outcome) for outcome in outcomes]

    def result(self) -> dict[str, Any]:
        return {**self._answer, "messages": self._messages, "trace": self._trace}


def run(
    ai: Asked,
    model: Model,
    messages: Messages,
    tools: Tools,
    max_rounds: int,
    *,
    tool_timeout: float = TIMEOUT,
    **options: Any,
) -> dict[str, Any]:
    """Ask, run the tools that are called, tell the model what came of it, and ask again, until it answers.

    tools: functions, plain or async, whose type hints and docstrings say what they take (`runtime.signatures`); or
        definitions in either form. A flat one may have its code under "function". Calls of a tool without code are left
        to the caller: the answer then is the one that calls it.
    max_rounds: after as many rounds of tools the model must answer without. tool_timeout: seconds for each call.
    options: of `Runtime.run`, for every request; `tool_choice` for the first.

    Gives the last answer, with `messages`, the whole conversation to go on with, and `trace`, a list of the rounds:
    `response`, `tool_calls` and `usage` of the answer, and `results`, each with `id`, `name`, `arguments`, `seconds`,
    and `result` or `error`.

    Arguments are checked against the tool's schema before it is run. What goes wrong in a tool is told to the model;
    what goes wrong in asking is raised, as by `run`.
    """
    rounds = Rounds(ai, messages, tools, max_rounds, options)
    while calls := rounds.take(ai.run(model, rounds.body())):
        rounds.tell([rounds.toolbox.perform(call, tool_timeout) for call in calls])
    return rounds.result()


async def run_async(
    ai: Asked,
    model: Model,
    messages: Messages,
    tools: Tools,
    max_rounds: int,
    *,
    tool_timeout: float = TIMEOUT,
    **options: Any,
) -> dict[str, Any]:
    """As `run`, awaited. Coroutine functions run in the caller's event loop."""
    rounds = Rounds(ai, messages, tools, max_rounds, options)
    while calls := rounds.take(await ai.run(model, rounds.body())):
        rounds.tell([await rounds.toolbox.perform_async(call, tool_timeout) for call in calls])
    return rounds.result()


def _message(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The turn of the tool. Objects and arrays are shown to the model as the JSON they are, all else as text."""
    content = {"error": outcome["error"]} if "error" in outcome else outcome["result"]
    if not isinstance(content, str | dict | list):
        content = json.dumps(content)
    return {"role": "tool", "tool_call_id": outcome["id"], "name": outcome["name"], "content": content}
