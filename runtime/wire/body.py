"""What any caller hands in -> plain JSON, in both modes: checked before a schema or a dialect looks at it.

The bounds here are ours, and hold whatever is published: docs/server.md has all that there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from runtime.errors import InvalidRequest
from runtime.grammar import limits
from runtime.messages import check_text, is_array, kind
from runtime.values import Message

MAX_DEPTH = 64  # nested arrays and objects
WITH_SCHEMAS = ("response_format", "tools", "text")  # options that have JSON Schemas in them
SCHEMA_DEPTH = limits.SCHEMA_DEPTH + 8  # nested there, since the schema itself stands some deep
COUNTS = {"messages": 1000, "tools": 64, "functions": 64}  # in these options, at most
STOPS, STOP_BYTES = 16, 256
MAX_BITS = 1024  # of a whole number, as in a float; Python itself does not print those of 4300 digits
MAX_SEED = 9_999_999_999  # the published bound, from 1 on
MAX_TOKENS = 2**31 - 1  # llama.cpp counts tokens in 32 bits; what the context leaves is the engine's to say
SHOWN = 60  # characters of a wrong value, or of a key, that a message repeats


def plain(value: Any, path: str = "", depth: int = 0, most: int = MAX_DEPTH) -> Any:
    """A copy in the types that `json` gives, which jsonschema knows. `Message`s stay as they are.

    Raises `InvalidRequest` for what is no JSON, numbers that are not finite, text that is not Unicode, deep nesting.
    """
    if isinstance(value, str):
        return value if value.isascii() else check_text(value, cut(path))
    if depth > most:
        raise InvalidRequest(f"The inputs are nested deeper than {most} levels, at {cut(path)}.")
    if isinstance(value, int | float):
        return _number(value, path)
    if isinstance(value, Mapping):
        return {
            _key(key, path): plain(item, f"{path}.{key}" if path else key, depth + 1, _most(key, depth, most))
            for key, item in value.items()
        }
    if is_array(value):
        return [plain(item, f"{path}[{index}]", depth + 1, most) for index, item in enumerate(value)]
    if value is not None and not isinstance(value, Message):
        raise InvalidRequest(f"{cut(path)} is {kind(value)}; it must be what JSON can hold.")
    return value


def bounded(body: dict[str, Any]) -> dict[str, Any]:
    """The body of a run, if it has no more of anything than is taken. Raises `InvalidRequest`."""
    for name, most in COUNTS.items():
        given = body.get(name)
        if isinstance(given, list) and len(given) > most:
            raise InvalidRequest(f"{name}: must have at most {most} entries, found {len(given)}.")
    stop = body.get("stop")
    for text in stop if isinstance(stop, list) else [stop]:
        if isinstance(text, str) and (size := len(text.encode("utf-8"))) > STOP_BYTES:
            raise InvalidRequest(f"stop: must have at most {STOP_BYTES} bytes in each string, found {size}.")
    return body


def _most(key: Any, depth: int, most: int) -> int:
    """How deep what stands under this key may be nested."""
    return SCHEMA_DEPTH if depth == 0 and key in WITH_SCHEMAS else most


def cut(text: str) -> str:
    """`text`, or the beginning of it where it is too long to be repeated."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _number(number: float, path: str) -> float:
    if isinstance(number, float) and not math.isfinite(number):
        raise InvalidRequest(f"{cut(path)} is {number}; it must be a finite number.")
    if isinstance(number, int) and number.bit_length() > MAX_BITS:
        raise InvalidRequest(
            f"{cut(path)} is a whole number of {number.bit_length()} bits; it must have at most {MAX_BITS}."
        )
    return number


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise InvalidRequest(f"A key of {cut(path) or 'the inputs'} is {kind(key)}; it must be a string.")
    return key if key.isascii() else check_text(key, f"a key of {cut(path) or 'the inputs'}")
