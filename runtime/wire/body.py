"""What any caller hands in -> plain JSON, in both modes: checked before a schema or a dialect looks at it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from runtime.errors import InvalidRequest
from runtime.messages import check_text, is_array, kind
from runtime.values import Message

MAX_DEPTH = 136  # nested arrays and objects: a schema may have 128 (`runtime.grammar.limits`), and stands some deep
MAX_BITS = 1024  # of a whole number, as in a float; Python itself does not print those of 4300 digits
MAX_SEED = 9_999_999_999  # the published bound, from 1 on
MAX_TOKENS = 2**31 - 1  # llama.cpp counts tokens in 32 bits; what the context leaves is the engine's to say
SHOWN = 60  # characters of a wrong value, or of a key, that a message repeats


def plain(value: Any, path: str = "", depth: int = 0) -> Any:
    """A copy in the types that `json` gives, which jsonschema knows. `Message`s stay as they are.

    Raises `InvalidRequest` for what is no JSON, numbers that are not finite, text that is not Unicode, deep nesting.
    """
    if isinstance(value, str):
        return value if value.isascii() else check_text(value, cut(path))
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"The inputs are nested deeper than {MAX_DEPTH} levels, at {cut(path)}.")
    if isinstance(value, int | float):
        return _number(value, path)
    if isinstance(value, Mapping):
        return {
            _key(key, path): plain(item, f"{path}.{key}" if path else key, depth + 1) for key, item in value.items()
        }
    if is_array(value):
        return [plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    if value is not None and not isinstance(value, Message):
        raise InvalidRequest(f"{cut(path)} is {kind(value)}; it must be what JSON can hold.")
    return value


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
