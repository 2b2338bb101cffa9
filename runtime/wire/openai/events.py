"""Responses: the items of an answer, whole or as they grow, in the events of OpenAI's API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.wire import envelope
from runtime.wire.openai import responses

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runtime.wire.openai.body import Asked
    from runtime.wire.openai.head import Head

    Shown = tuple[str, dict[str, Any]]  # an event: its type, and what it says beside that


class Responses:
    """Shapes the answer to one request. A stream of it is not ended by `[DONE]`, but by its last event."""

    heartbeat = envelope.COMMENT

    def __init__(self, asked: Asked, head: Head) -> None:
        self._given, self._head = asked.given, head
        self._output: list[dict[str, Any]] = []  # the items; the last one may be growing still
        self._is_open = False
        self._count = 0  # of events

    def whole(self, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The answer of the one run that there is."""
        (result,) = results
        end = responses.ended(result)
        if result["response"] or not result["tool_calls"]:
            self._output.append(self._message(result["response"], result.get("logprobs", []), end["status"]))
        for call in result["tool_calls"]:
            self._output.append(self._call(call, end["status"]))
        return responses.answer(self._given, self._head, self._output, **end)

    def lines(self, at: int, event: Mapping[str, Any]) -> bytes:
        """The events for one of the run, as `workers_ai.Answer.stream` shows it."""
        return b"".join(self._line(name, said) for name, said in self._events(event))

    def end(self) -> bytes:
        """What stands behind the last event: nothing."""
        return b""

    def failure(self, told: Mapping[str, Any]) -> bytes:
        """What tells of an error in the middle: as the event of its own that there is for it, and as clients know it
        from other streams."""
        error = told.get("error", {})
        return self._line("error", {key: error.get(key) for key in ("code", "message", "param")} | dict(told))

    def _line(self, name: str, said: Mapping[str, Any]) -> bytes:
        numbered = {"type": name, "sequence_number": self._count, **said}
        self._count += 1
        return f"event: {name}\n".encode() + envelope.line(numbered)

    def _events(self, event: Mapping[str, Any]) -> Iterator[Shown]:
        if not self._count:
            begun = responses.answer(self._given, self._head, [], status="in_progress")
            yield "response.created", {"response": begun}
            yield "response.in_progress", {"response": begun}
        if "finish_reason" in event:
            yield from self._last(event)
        elif "tool_calls" in event:
            for delta in event["tool_calls"]:
                yield from self._more_call(delta)
        else:
            yield from self._more_text(event["response"], event.get("logprobs", []))

    def _more_text(self, text: str, logprobs: list[Any]) -> Iterator[Shown]:
        if not self._is_growing("message"):
            yield from self._opened(self._message("", [], "in_progress"))
            yield "response.content_part.added", {**self._place(), "part": _part("", [])}
        part = self._output[-1]["content"][0]
        part["text"] += text
        part["logprobs"] += logprobs
        yield "response.output_text.delta", {**self._place(), "delta": text, "logprobs": logprobs}

    def _more_call(self, delta: Mapping[str, Any]) -> Iterator[Shown]:
        if "id" in delta:  # only the first piece of a call has one
            named = {"name": delta["function"]["name"], "arguments": ""}
            yield from self._opened(self._call({"id": delta["id"], "function": named}, "in_progress"))
        arguments = delta["function"]["arguments"]
        self._output[-1]["arguments"] += arguments
        yield "response.function_call_arguments.delta", {**self._place(), "delta": arguments}

    def _last(self, end: Mapping[str, Any]) -> Iterator[Shown]:
        """The end of the last item, and of the answer."""
        if not self._output:
            yield from self._more_text("", [])
        told = responses.ended(end)
        yield from self._closed(told["status"])
        whole = responses.answer(self._given, self._head, self._output, **told)
        yield f"response.{told['status']}", {"response": whole}

    def _is_growing(self, kind: str) -> bool:
        return self._is_open and self._output[-1]["type"] == kind

    def _opened(self, item: dict[str, Any]) -> Iterator[Shown]:
        yield from self._closed("completed")
        self._output.append(item)
        self._is_open = True
        shown = {**item, "content": []} if item["type"] == "message" else item
        yield "response.output_item.added", {"output_index": len(self._output) - 1, "item": shown}

    def _closed(self, status: str) -> Iterator[Shown]:
        if not self._is_open:
            return
        self._is_open = False
        item = self._output[-1]
        item["status"] = status
        if item["type"] == "message":
            part = item["content"][0]
            text = {"text": part["text"], "logprobs": part["logprobs"]}
            yield "response.output_text.done", {**self._place(), **text}
            yield "response.content_part.done", {**self._place(), "part": part}
        else:
            said = {"name": item["name"], "arguments": item["arguments"]}
            yield "response.function_call_arguments.done", {**self._place(), **said}
        yield "response.output_item.done", {"output_index": len(self._output) - 1, "item": item}

    def _place(self) -> dict[str, Any]:
        """Of what grows."""
        item = self._output[-1]
        place = {"item_id": item["id"], "output_index": len(self._output) - 1}
        return {**place, "content_index": 0} if item["type"] == "message" else place

    def _message(self, text: str, logprobs: list[Any], status: str) -> dict[str, Any]:
        named = {"id": f"msg_{self._head.id}-{len(self._output)}", "type": "message", "status": status}
        return {**named, "role": "assistant", "content": [_part(text, logprobs)]}

    def _call(self, call: Mapping[str, Any], status: str) -> dict[str, Any]:
        named = {"id": f"fc_{self._head.id}-{len(self._output)}", "type": "function_call", "status": status}
        return {**named, "call_id": call["id"], **call["function"]}


def _part(text: str, logprobs: list[Any]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}
