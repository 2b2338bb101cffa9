"""What Cloudflare's API puts around results, errors and the pieces of a stream; and the JSON of a request's body.

Shapes as the service was seen to send them: a failure of the gateway has `"result": null`, one of Workers AI itself
`{}` and a message that begins with AiError and ends with the request's id.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from runtime.errors import GatewayError, InvalidRequest, LlamaletError, NoBody, NotFound
from runtime.wire.wording import worded

if TYPE_CHECKING:
    from collections.abc import Iterable

IGNORED, DEPRECATED = 1000, 1001  # ours: from the least code on that Cloudflare's clients take for one of `messages`

HEARTBEAT = {"response": ""}  # the service sends such events too, and clients add nothing to nothing
COMMENT = b": \n\n"  # a sign of life that is no event, for clients that take every event for a piece of an answer
END = b"data: [DONE]\n\n"
_LINE_ENDS = ("\x85", "\u2028", "\u2029")  # to some readers, of Python above all; JSON lets them stand


def success(result: Any, ignored: Iterable[str] = (), deprecated: Iterable[str] = ()) -> dict[str, Any]:
    """The envelope of an answer; it names the options that nobody knows, and those that better ones replace."""
    said = {IGNORED: ("Ignored, since nobody knows them", ignored), DEPRECATED: ("Deprecated", deprecated)}
    found = [(code, why, ", ".join(names)) for code, (why, names) in said.items()]
    messages = [{"code": code, "message": f"{why}: {names}."} for code, why, names in found if names]
    return {"result": result, "success": True, "errors": [], "messages": messages}


def failure(error: LlamaletError, request_id: str, *, parity: bool = False) -> dict[str, Any]:
    """The envelope of an error. Unless `parity`, with the hint, and with `error` as OpenAI's clients read it."""
    said = worded(error, parity=parity)
    body: dict[str, Any]
    if isinstance(error, GatewayError):
        told = {"code": error.code, "message": said, **_chain(error)}
        body = {"result": None, "success": False, "errors": [told], "messages": []}
    else:
        said = f"AiError: {_prefix(error)}{said} ({request_id})"
        body = {"errors": [{"message": said, "code": error.code}], "success": False, "result": {}, "messages": []}
    if not parity:
        kind = "invalid_request_error" if error.status < 500 else "server_error"
        body["error"] = {"message": said, "type": kind, "param": None, "code": str(error.code)}
    return body


def _chain(error: GatewayError) -> dict[str, Any]:
    """What the gateway says is behind it."""
    if "chain" not in error.facts:
        return {}
    code, message = error.facts["chain"]
    return {"error_chain": [{"code": code, "message": message}]}


def _prefix(error: LlamaletError) -> str:
    """What the service says before a message, by its code."""
    if error.code == InvalidRequest.code:
        return "Bad input: Error: "
    return "No such model: " if error.code == NotFound.code else ""


def encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def line(event: Any) -> bytes:
    """One event of a stream. Every line end in it is escaped, so none can break it."""
    data = encode(event)
    for end in _LINE_ENDS:
        data = data.replace(end.encode(), b"\\u%04x" % ord(end))
    return b"data: " + data + b"\n\n"


def decode(body: bytes) -> Any:
    """The JSON of a body. Raises `NoBody`, or `InvalidRequest` for what is no JSON, or has a key twice."""
    if not body.strip():
        raise NoBody("Request is missing headers or body: body.", "Send the inputs as a JSON object.", what="body")
    try:
        return json.loads(body.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_no_constant)
    except UnicodeDecodeError as wrong:
        at = len(body) - len(wrong.object) + wrong.start  # without the mark of byte order, if there was one
        found = f"byte 0x{body[at]:02x} at {at}"
        raise InvalidRequest(f"The body is not UTF-8: {found}.", "Send JSON in UTF-8.") from None
    except json.JSONDecodeError as wrong:
        where = f"line {wrong.lineno}, column {wrong.colno}"
        raise InvalidRequest(f"The body is not JSON: {wrong.msg}, {where}.") from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    except ValueError:  # the one that is left
        most = sys.get_int_max_str_digits()
        raise InvalidRequest(f"The body has a whole number of more than {most} digits.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two values for one key, every reader takes another: there must be one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidRequest(f"The body has the key {twice[:60]!r} twice in one object.", "Send it once.")
    return found


def _no_constant(name: str) -> Any:
    raise InvalidRequest(f"The body is not JSON: {name} is no number there.")
