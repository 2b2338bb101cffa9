"""A model that calls a tool: canaries whose answer to one key is a call, and to another that it has been answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.models import canary_model, key_token

if TYPE_CHECKING:
    from pathlib import Path

CALL, TWO, WORDS = 3, 4, 5  # keys: to the first the answer is a call, to the second two, to the third words
PIECES = {
    CALL: ['{"na', 'me": ', '"weather', '", "parameters', '": {"city', '": "Rome', '", "days', '": "3', '"}}'],
    TWO: [
        '{"name"',
        ': "weather"',
        ', "parameters"',
        ': {"city"',
        ': "Oslo"}}; ',
        '{"name":',
        ' "now", ',
        '"parameters":',
        " {}}",
    ],
    WORDS: ["It ", "will ", "be ", "sunny ", "for ", "three ", "days ", "in ", "Rome."],
}
WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "The weather of the next days.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where"},
            "days": {"type": "integer", "description": "How many"},
        },
        "required": ["city"],
    },
}
NOW: dict[str, Any] = {"type": "function", "function": {"name": "now", "description": "The time.", "parameters": {}}}


def calling_model(path: Path) -> None:
    """Write a model that answers prompts with a key of `PIECES` with those, and ends its answer behind them."""
    canary_model(path, says=PIECES, eos_after=9)


def ask(key: int, **options: Any) -> dict[str, Any]:
    content = f"What will the weather be? {key_token(key)}"
    body = {"messages": [{"role": "user", "content": content}], "tools": [WEATHER, NOW], "temperature": 0}
    # What this model writes is fixed, whatever the schemas say: it is read, and not held to them.
    return {**body, "constrain_tools": False, **options}
