"""How a program here is asked: `calls.mjs` in Python."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SERVER, ACCOUNT = os.environ["SERVER"], os.environ["CLOUDFLARE_ACCOUNT_ID"]
TOKEN = os.environ["CLOUDFLARE_API_TOKEN"]
OPENAI = f"{SERVER}/client/v4/accounts/{ACCOUNT}/ai/v1"


def answering(calls: Mapping[str, Callable[..., Any]]) -> None:
    out, sys.stdout = sys.stdout, sys.stderr  # some packages talk
    for line in sys.stdin:
        asked = json.loads(line)
        print(_outcome(calls[asked.pop("call")], asked), file=out, flush=True)


def _outcome(call: Callable[..., Any], asked: dict[str, Any]) -> str:
    try:
        return json.dumps({"result": call(**asked)})
    except Exception as error:
        response = getattr(error, "response", None)
        status = getattr(error, "status_code", getattr(response, "status_code", 0))
        return json.dumps({"error": {"name": type(error).__name__, "status": status, "message": str(error)}})
