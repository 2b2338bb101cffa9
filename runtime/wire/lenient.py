"""A body as real clients send it: brought into the published form first, then validated whole, with our options.

What is forgiven: null for an option left alone, messages in every dialect of `runtime.messages`, tools that miss what
the schema wants (`completed`), booleans as text, and options that nobody knows. A wrong value is named with its path,
what is expected, and what was found.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, cast

from runtime.errors import InvalidRequest
from runtime.messages import kind, normalise
from runtime.units import KEEP_ALIVE, LONGEST
from runtime.wire import published, tools
from runtime.wire.body import MAX_TOKENS, STOPS, cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

    from runtime.wire.published import Title

# Ours, beside the published options. The names are OpenAI's, or llama.cpp's; a description is for `_expected`.
_NUMBER = {"type": "number"}
EXTENSIONS: dict[str, Any] = {
    "min_p": {**_NUMBER, "minimum": 0, "maximum": 1},
    "stop": {
        "description": f"a string or an array of at most {STOPS} strings, none of them empty",
        "maxItems": STOPS,  # before the rest, so that no more are looked at
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "items": {"type": "string", "minLength": 1}},
        ],
    },
    "logit_bias": {
        "type": "object",
        "maxProperties": 300,
        "propertyNames": {"pattern": "^[0-9]{1,9}$"},
        "additionalProperties": {**_NUMBER, "minimum": -100, "maximum": 100},
    },
    "logprobs": {"type": "boolean"},
    "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20},
    "approximate": {"type": "boolean"},
    "grammar": {"type": "string", "minLength": 1},
    "date": {"type": "string", "minLength": 1, "maxLength": 64},
    "timeout": {**_NUMBER, "exclusiveMinimum": 0, "maximum": int(LONGEST)},
    "keep_alive": {},  # Ollama's: a number of seconds or a duration (`_idle_seconds`)
    "max_tokens": {"minimum": 1, "maximum": MAX_TOKENS},  # published without bounds; less than one is no answer
    **tools.OPTIONS,
    # Outside the schemas, yet the service's own.
    "options": {"type": "object", "properties": {"rejectIfBusy": {"type": "boolean"}}},
}

_FLAGS = {"true": True, "false": False}  # Cloudflare's page on LoRA adapters has `"raw": "true"`
# By the choice, what asks for nothing.
_UNASKED = {"auto": ("tool_choice",), "none": ("tool_choice", "tools", "functions")}


def read(body: dict[str, Any], model: str) -> tuple[dict[str, Any], list[str]]:
    """The options that are known and ask for something, and the names of those that nobody knows."""
    given = {key: value for key, value in body.items() if value is not None}
    title, name = _meant(given), published.name_for(model)
    given = _normalised(given)
    if "keep_alive" in given:
        given["keep_alive"] = _idle_seconds(given["keep_alive"])
    messages = normalise(given["messages"]) if title == "Messages" else ()
    if messages:
        given["messages"] = [{"role": message.role, "content": message.content} for message in messages]
    error = next(_validator(name, title).iter_errors(given), None)
    if error is not None:
        raise InvalidRequest(complaint(error))
    known = _known(name, title)
    unknown = [key for key in given if key not in known]
    unknown += [f"options.{key}" for key in given.get("options", {}) if key != "rejectIfBusy"]
    as_said = {"tools": body["tools"]} if "tools" in given else {}  # completed for the schema's eyes only
    return _asked({**given, **as_said, "messages": messages}), sorted(unknown)


def _meant(given: Mapping[str, Any]) -> Title:
    """Which branch of the published schema's oneOf is meant."""
    if ("prompt" in given) == ("messages" in given):
        found = "both" if "prompt" in given else "neither"
        raise InvalidRequest(f"Give either prompt or messages: there is {found}.")
    return "Prompt" if "prompt" in given else "Messages"


def _normalised(given: dict[str, Any]) -> dict[str, Any]:
    """The options in the published form."""
    given = dict(given)
    for flag in ("raw", "stream"):
        if isinstance(given.get(flag), str):
            given[flag] = _FLAGS.get(given[flag], given[flag])
    if isinstance(given.get("options"), dict):
        given["options"] = _without_nulls(given["options"])
    if isinstance(given.get("tools"), list):
        given["tools"] = [completed(tool) for tool in given["tools"]]
    asked = given.get("response_format")
    if isinstance(asked, dict) and asked.get("type") == "text":  # OpenAI's word for no format
        del given["response_format"]
    return given


def _idle_seconds(value: Any) -> float:
    """How long the model stays when nobody asks it anything, as the setting is read; negative for ever."""
    if not KEEP_ALIVE.test(value):
        found = cut(json.dumps(value, ensure_ascii=False, default=kind))
        raise InvalidRequest(f"keep_alive: must be {KEEP_ALIVE.accepts}; found {found}.")
    return KEEP_ALIVE.convert(value)


def _asked(given: dict[str, Any]) -> dict[str, Any]:
    """Without the tools that shall not be called, and without a choice that leaves it to the model."""
    choice = given.get("tool_choice")
    dropped = _UNASKED.get(choice, ()) if isinstance(choice, str) else ()
    return {key: value for key, value in given.items() if key not in dropped}


@functools.cache
def _known(name: str, title: Title) -> dict[str, Any]:
    """The schema of every option: the published with ours, and the branch's own prompt or messages."""
    theirs = {**published.options(name, title), **published.branch(name, title)["properties"]}
    theirs["image"] = {}  # refused whatever it holds, and looking at a million numbers first takes seconds
    return theirs | {key: {**theirs.get(key, {}), **schema} for key, schema in EXTENSIONS.items()}


@functools.cache
def _validator(name: str, title: Title) -> Validator:
    return published.compiled({**published.branch(name, title), "properties": _known(name, title)})


def completed(tool: Any) -> Any:
    """A tool with all that the published schema requires, for its eyes only: what it says stays what the caller wrote.

    Clients leave out descriptions, parameters, and the type of a property that has a union, a `$ref` or an enum (those
    of zod and pydantic do). What is no tool at all stays as it is, and is refused.
    """
    if not isinstance(tool, dict):
        return tool
    if isinstance(tool.get("function"), dict):
        flat = ("name", "description", "parameters")  # beside a function they would make it a tool of both forms
        outer = {key: value for key, value in tool.items() if key not in flat}
        return _filled(outer, type="function") | {"function": _function(tool["function"])}
    return _function(tool)


def _function(given: dict[str, Any]) -> dict[str, Any]:
    given = _filled(given, description="", parameters={})
    if not isinstance(given["parameters"], dict):
        return given
    parameters = _filled(_without_nulls(given["parameters"]), properties={})
    parameters["type"] = _type(parameters.get("type", "object"))
    if isinstance(parameters["properties"], dict):
        parameters["properties"] = {key: _property(one) for key, one in parameters["properties"].items()}
    return {**given, "parameters": parameters}


def _property(given: Any) -> Any:
    if given is True:  # JSON Schema's short form of {}
        given = {}
    if not isinstance(given, dict):
        return given
    named = given.get("type")
    return _filled({**given, "type": "any" if named is None else _type(named)}, description="")


def _type(named: Any) -> Any:
    """A union of types has several names; the schema has room for one."""
    return ",".join(named) if isinstance(named, list) and all(isinstance(name, str) for name in named) else named


def _filled(given: dict[str, Any], **missing: Any) -> dict[str, Any]:
    return given | {key: value for key, value in missing.items() if given.get(key) is None}


def _without_nulls(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


def complaint(error: ValidationError) -> str:
    """Path, expected and found."""
    while error.validator == "oneOf" and error.context:
        # Of the forms of a tool, the one is meant that goes wrong deepest; of equals, the first.
        error = max(published.first_of_branches(error), key=lambda first: len(first.relative_path))
    if error.validator == "required":
        required, given = cast("list[str]", error.validator_value), cast("dict[str, Any]", error.instance)
        missing = next(name for name in required if name not in given)
        return f"{_path(error, missing)}: must be given, found nothing."
    return f"{_path(error)}: must {_expected(error)}, found {_found(error)}."


def _path(error: ValidationError, *more: str) -> str:
    path = ""
    for step in (*error.absolute_path, *more):
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{cut(step)}" if step.isidentifier() else f"['{cut(step)}']"
    return path.removeprefix(".") or "The inputs"


def _expected(error: ValidationError) -> str:
    """What a rule of the schemas asks for. jsonschema's own words quote the whole value, however long."""
    rule, bound = str(error.validator), cast("Any", error.validator_value)
    if rule in ("anyOf", "maxItems"):  # our own options only
        return f"be {error.schema['description']}"  # type: ignore[index]
    if rule == "enum":
        return f"be one of {', '.join(map(str, bound))}"
    return {
        "minimum": f"be at least {bound}",
        "maximum": f"be at most {bound}",
        "exclusiveMinimum": f"be more than {bound}",
        "type": f"be of type {bound}",
        "minLength": "not be empty",
        "maxLength": f"have at most {bound} characters",
        "maxProperties": f"have at most {bound} keys",
        "pattern": "have ids of tokens, in digits, as its keys",  # logit_bias is the only one with a pattern
    }.get(rule, f"satisfy {rule}")


def _found(error: ValidationError) -> str:
    """The value, or how many things it holds where that is what is wrong."""
    found: Any = error.instance
    if error.validator in ("maxLength", "maxProperties"):
        return str(len(found))
    return cut(json.dumps(found, ensure_ascii=False, default=kind))
