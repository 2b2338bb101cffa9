"""What a caller asks for -> what an engine is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime import prompt
from runtime.values import Message, Request

if TYPE_CHECKING:
    from runtime.values import Inputs, Segment


def prepare(inputs: Inputs, *, request_id: str, family: str, date: str, timeout: float) -> Request:
    """What the engine is asked for these inputs; `date` and `timeout` (seconds) hold where the inputs say nothing."""
    return Request(
        id=request_id,
        prompt=_segments(inputs, family, inputs.date or date),
        max_tokens=inputs.max_tokens,
        sampling=inputs.sampling,
        stop=inputs.stop,
        lora=inputs.lora,
        timeout=timeout if inputs.timeout is None else inputs.timeout,
    )


def _segments(inputs: Inputs, family: str, date: str) -> tuple[Segment, ...]:
    """A prompt becomes one user turn; raw text goes to the model as it is, that of messages one after the other."""
    if inputs.raw:
        return prompt.raw("".join(m.content for m in inputs.messages) if inputs.prompt is None else inputs.prompt)
    messages = inputs.messages if inputs.prompt is None else (Message("user", inputs.prompt),)
    return prompt.segments(messages, family=family, date=date)
