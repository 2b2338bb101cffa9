"""Errors as OpenAI's API tells them, for its clients: they show `error.message`, and go by the status."""

from __future__ import annotations

import re
from typing import Any

from runtime.errors import (
    ContextTooLong,
    InvalidRequest,
    LlamaletError,
    NoRoute,
    NoToken,
    QueueFull,
    UnknownModel,
    Unsupported,
    WrongToken,
)

# What OpenAI answers otherwise than Workers AI: its word for it, and its status. The first that fits.
_THEIRS: tuple[tuple[type[LlamaletError], str, int | None], ...] = (
    (UnknownModel, "model_not_found", 404),
    (NoRoute, "unknown_url", 404),
    (NoToken, "invalid_api_key", 401),
    (WrongToken, "invalid_api_key", 401),
    (ContextTooLong, "context_length_exceeded", 400),
    (QueueFull, "rate_limit_exceeded", None),
    (Unsupported, "unsupported_parameter", None),
)
_PARAM = re.compile(r"([a-z_]\w*(?:\.\w+|\[\d+\])*)(?:: | is not supported| cannot be combined)")


def status(error: LlamaletError) -> int:
    return next((theirs or error.status for kind, _, theirs in _THEIRS if isinstance(error, kind)), error.status)


def failure(error: LlamaletError) -> dict[str, Any]:
    """The body that tells of an error. `code` is OpenAI's word where it has one, else Workers AI's number."""
    code = next((word for kind, word, _ in _THEIRS if isinstance(error, kind)), str(error.code))
    named = _PARAM.match(error.message) if isinstance(error, InvalidRequest) else None
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    if error.status == 429:
        kind = "rate_limit_error"
    return {"error": {"message": str(error), "type": kind, "param": named and named[1], "code": code}}
