"""What the bodies of OpenAI's endpoints have in common."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.errors import InvalidRequest, Unsupported
from runtime.messages import kind
from runtime.wire import lenient, published
from runtime.wire.body import MAX_SEED, MAX_TOKENS, cut, plain
from runtime.wire.workers_ai import merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jsonschema.protocols import Validator

MAX_CHOICES = 16  # of one request: each is a run of its own

COUNT = {"type": "integer", "minimum": 1, "maximum": MAX_TOKENS}
FLAG = {"type": "boolean"}
# Options that are read here. Those of Workers AI's own names are checked with all others, when the inputs are parsed.
COMMON: dict[str, Any] = {
    "model": {"type": "string", "minLength": 1},
    "stream": FLAG,
    "stream_options": {"type": "object", "properties": {"include_usage": FLAG}},
    "seed": {"type": "integer"},
    "n": {"type": "integer", "minimum": 1, "maximum": MAX_CHOICES},
}

# Said out of habit, and without a bearing on the answer: nothing is stored, billed or kept apart here.
HABITS = {"metadata", "prediction", "safety_identifier", "service_tier", "store", "user"}
HABITS |= {"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"}
_NOTHING: tuple[Any, ...] = (False, "", [])
NO_PYTHON = "it is for callers in Python only"

# By option: why it is not supported, then the values that ask for nothing.
Refused = dict[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was read. bodies: inputs of Workers AI, one for each run; choices: how many runs there are of each
    prompt, one after the other; given: what was said, without nulls."""

    model: str
    bodies: tuple[dict[str, Any], ...]
    choices: int = 1
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def include_usage(self) -> bool:
        """Whether a stream shall end with the count of tokens."""
        return bool(self.given.get("stream_options", {}).get("include_usage"))


def given_in(body: Any, options: Mapping[str, Any], required: tuple[str, ...], refused: Refused) -> dict[str, Any]:
    """What a body says, without nulls. Raises `InvalidRequest` for what is not as `options` have it, and
    `Unsupported`."""
    given: dict[str, Any] = without_nulls(plain(merged(body, {})))
    given |= {key: without_nulls(given[key]) for key in ("stream_options", "text", "reasoning") if key in given}
    for name, (why, *harmless) in refused.items():
        if name in given and given[name] not in (*harmless, *_NOTHING):
            found = cut(json.dumps(given[name], ensure_ascii=False))
            raise Unsupported(f"{name} is not supported: {why}; found {found}.", "Leave it out.")
    error = next(_validator(json.dumps({"properties": options, "required": required})).iter_errors(given), None)
    if error is not None:
        raise InvalidRequest(lenient.complaint(error))
    return given


def runs(inputs: Mapping[str, Any], refused: Iterable[str], count: int, *, parity: bool) -> tuple[dict[str, Any], ...]:
    """The inputs of so many runs, each with a seed of its own where one is given; in parity there is one.

    OpenAI's seeds are any whole numbers: they are folded into those that Workers AI has.
    """
    passed = inputs.keys() - {*HABITS, *refused, "model", "n", "stream_options"}
    inputs = {key: value for key, value in inputs.items() if key in passed}
    if parity:
        return (dict(inputs),)
    if "seed" not in inputs:
        return (dict(inputs),) * count
    return tuple({**inputs, "seed": (inputs["seed"] + at - 1) % MAX_SEED + 1} for at in range(count))


def without_nulls(given: Any) -> Any:
    """An object in which null is not given; all else as it is."""
    return {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else given


def check_tools(tools: Any) -> None:
    """Raises `Unsupported` for a tool that is no function."""
    for at, tool in enumerate(tools if isinstance(tools, list) else ()):
        named = tool.get("type") if isinstance(tool, dict) else None
        if named not in (None, "function"):
            shown = named[:60] if isinstance(named, str) else kind(named)
            raise Unsupported(f'tools[{at}].type: must be "function", found "{shown}": no other tools run here.')


@functools.cache
def _validator(schema: str) -> Validator:
    return published.compiled(json.loads(schema))
