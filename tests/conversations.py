"""Conversations for the prompt's tests, and the published chat templates as their judge.

`golden/prompts.json` has what the templates make of them; `scripts/golden-prompts` writes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from jinja2.sandbox import ImmutableSandboxedEnvironment

GOLDEN = Path(__file__).parent / "golden" / "prompts.json"
TEMPLATES = {
    "llama3.1": "meta-llama-Llama-3.1-8B-Instruct.jinja",
    "llama3.2": "meta-llama-Llama-3.2-3B-Instruct.jinja",
}

Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class Conversation:
    """`reference`: the messages in the form that the templates need, where clients send another.

    `tools_in`: where the tools are shown, "user" or "system".
    """

    name: str
    messages: Messages
    tools: list[dict[str, Any]] | None = None
    date: str = "26 Jul 2024"
    reference: Messages | None = None
    tools_in: str = "user"
    control_text: bool = False  # the text holds what reads like a control token


def reference_prompt(template: str, conversation: Conversation) -> str:
    """What the template gives, set up as transformers sets it up."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = _tojson
    environment.globals.update(raise_exception=_raise, strftime_now=lambda _: conversation.date)
    variables: dict[str, Any] = {"tools": conversation.tools} if conversation.tools else {}
    return environment.from_string(template).render(
        messages=conversation.reference or conversation.messages,
        bos_token="<|begin_of_text|>",
        date_string=conversation.date,
        tools_in_user_message=conversation.tools_in == "user",
        add_generation_prompt=True,
        **variables,
    )


def _tojson(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise ValueError(message)


def system(content: Any) -> dict[str, Any]:
    return {"role": "system", "content": content}


def user(content: Any = "Hello") -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = "Good day.") -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def result(content: Any, role: str = "tool", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def call(arguments: Any, name: str = "get_weather", content: Any = "") -> dict[str, Any]:
    """An assistant's call as the templates need it: OpenAI's form, with the arguments decoded."""
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": content, "tool_calls": [{"type": "function", "function": function}]}


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place, now & then: <°C> or 'F'",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": 'A city, like "Köln" or 東京'},
                "days": {"type": "integer", "minimum": 1, "maximum": 10},
            },
            "required": ["place"],
        },
    },
}
FLAT = {"name": "add", "description": "Adds.\nTwo lines.", "parameters": {"type": "object", "properties": {}}}
ODD = {"z": [], "a": {}, "name": "odd", "strict": True, "none": None, "numbers": [1, 2.5, -0.0, 1e100, 12345678901234]}

ROME = {"place": "Rome", "days": 2}
ASKED = user("Weather in Rome?")

PLAIN = [
    Conversation("user only", [user()]),
    Conversation("system and user", [system("You are terse."), user()]),
    Conversation("empty user", [user("")]),
    Conversation("empty system", [system(""), user()]),
    Conversation("blank system", [system(" \t\n "), user()]),
    Conversation("system only", [system("Say something.")]),
    Conversation("all empty", [system(""), user(""), assistant(""), user("")]),
    Conversation("several turns", [user("One"), assistant("Two"), user("Three"), assistant("Four"), user("Five")]),
    Conversation("system and several turns", [system("S"), user("One"), assistant("Two"), user("Three")]),
    Conversation("ends with the assistant", [user("Count."), assistant("One, two")]),
    Conversation("begins with the assistant", [assistant("Welcome."), user()]),
    Conversation("two users in a row", [user("One"), user("Two")]),
    Conversation("later system", [user("One"), system("  Be brief. "), user("Two")]),
    Conversation("two systems first", [system("One"), system("Two"), user()]),
    Conversation("unknown role", [user(), {"role": "critic", "content": " No. "}]),
    Conversation("role with blanks", [{"role": " user \n", "content": "x"}]),
    Conversation("role in another script", [{"role": "användare 用户", "content": "x"}]),
    Conversation("message names are not shown", [{"role": "user", "content": "x", "name": "Ada"}]),
    Conversation("other date", [user()], date="01 Jan 2030"),
    Conversation("odd date", [user()], date="  tomorrow\n\n ☂ "),
    Conversation("empty date", [user()], date=""),
]

UNICODE = [
    Conversation("emoji", [user("👩‍👩‍👧‍👦 🇳🇴 👍🏽 ❤️ 🫠")]),
    Conversation("east asian", [system("日本語で答えてください。"), user("你好,世界 — 안녕하세요")]),
    Conversation("right to left", [user("مرحبا بالعالم \u200fשלום\u200e 123")]),
    Conversation("combining marks", [user("e\u0301 Z\u0351\u036b\u0343 \u0ba8\u0bbf क्षि")]),
    Conversation("combining mark first", [user("\u0301a")]),
    Conversation("beyond the basic plane", [user("𝔘𝔫𝔦 𓀀 \U0010fffd")]),
    Conversation("byte order mark", [user("\ufeffHello\ufeff")]),
    Conversation("control characters", [user("a\x00b\x01c\x07d\x1b[0m\x7f")]),
    Conversation("noncharacters", [user("\ufffe\uffff\ufffd")]),
    Conversation("ascii blanks around", [user(" \t\n\r\x0b\x0cHello \t\n\r\x0b\x0c")]),
    Conversation("separators around", [user("\x1c\x1d\x1e\x1fHello\x1c\x1d\x1e\x1f")]),
    Conversation(
        "unicode blanks around", [user("\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000Hi\u0085\u00a0\u3000")]
    ),
    Conversation("zero width is no blank", [user("\u200bHello\u200b\u2060")]),
    Conversation("blanks inside", [user("a  b\t\tc\n\n\nd\r\ne   f")]),
    Conversation("only unicode blanks", [user("\u3000\u2003"), assistant("\u2028"), user("x")]),
    Conversation("newlines around", [system("\n\nS\n\n"), user("\n\nU\n\n"), assistant("\n\nA\n\n"), user("\n")]),
    Conversation("code", [user("```python\ndef f(x):\n    return {'a': x}\n```")]),
    Conversation("template signs", [user("{{ 7 * 7 }} {% raw %} {# no #} ${x} %s")]),
    Conversation("html", [system("<b>&amp;'\"</b>"), user("<script>alert(1)</script>")]),
    Conversation("digits and signs", [user("1234567890 3.14159 1,000,000 ≠ ½ € §")]),
    Conversation("contractions", [user("I'm you're it's WE'LL don't")]),
    Conversation("long", [user("All work and no play. " * 300)]),
]

CALLS = [
    Conversation("call and result", [ASKED, call(ROME), result("18 C")]),
    Conversation("result in ipython", [ASKED, call(ROME), result("18 C", role="ipython")]),
    Conversation("result with quotes", [ASKED, call(ROME), result('"hot"\n\tback\\slash é 🌞')]),
    Conversation("result is not trimmed", [ASKED, call(ROME), result("  18 C\n")]),
    Conversation("empty result", [ASKED, call(ROME), result("")]),
    Conversation("json text is quoted again", [ASKED, call(ROME), result('{"t": 18}')]),
    Conversation("object result", [ASKED, call(ROME), result({"t": 18, "wind": None, "ok": True, "sky": "ясно"})]),
    Conversation("array result", [ASKED, call(ROME), result([{"t": 18}, {"t": 19.5}])]),
    Conversation("strings result", [ASKED, call(ROME), result(["Rome", "Oslo"])]),
    Conversation("empty object result", [ASKED, call(ROME), result({})]),
    Conversation("empty array result", [ASKED, call(ROME), result([])]),
    Conversation("result has a name and an id", [ASKED, call(ROME), result("1", name="f", tool_call_id="c1")]),
    Conversation("result without a call", [result("18 C")]),
    Conversation("answer after the result", [ASKED, call(ROME), result("18 C"), assistant("Mild."), user("Oslo?")]),
    Conversation("content beside a call", [ASKED, call(ROME, content="Let me look."), result("18 C")]),
    Conversation("call without arguments", [user("Time?"), call({}, "now"), result("12:00")]),
    Conversation("nested arguments", [user(), call({"a": [1, {"b": None}], "c": {"d": [True, 2.5e-7]}, "é": "日"})]),
    Conversation("signs in arguments", [user(), call({"html": "<a href='x'>&</a>", "q": 'say "hi"\n\\'})]),
    Conversation("arguments keep their order", [user(), call({"z": 1, "a": 2, "m": 3})]),
    Conversation("quotes in a name", [user(), call({}, 'f"g\\h')]),
    Conversation("call last", [ASKED, call(ROME)]),
]

TOOLS = [
    Conversation("one tool", [ASKED], tools=[WEATHER]),
    Conversation("flat tool", [ASKED], tools=[FLAT]),
    Conversation("odd tool", [ASKED], tools=[ODD]),
    Conversation("empty tool", [ASKED], tools=[{}]),
    Conversation("three tools", [ASKED], tools=[WEATHER, FLAT, ODD]),
    Conversation("no tools", [ASKED], tools=[]),
    Conversation("tools and system", [system(" Be kind. "), user("  Rome?  ")], tools=[WEATHER]),
    Conversation("tools and two systems", [system("One"), system(" Two "), ASKED], tools=[WEATHER]),
    Conversation("tools and the assistant first", [assistant(" Hi. "), ASKED], tools=[FLAT]),
    Conversation("tools and a result first", [result(" 18 C "), ASKED], tools=[FLAT]),
    Conversation("tools and an empty user", [user("")], tools=[FLAT]),
    Conversation(
        "tools, call, result, answer",
        [system("S"), ASKED, call(ROME), result({"t": 18}), assistant("18."), user("Thanks")],
        tools=[WEATHER, FLAT],
    ),
]

# As clients send them. `reference` is the same conversation as the templates need it.
_OPENAI_CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"place":"Rome"}'}}
_FLAT_CALL = {"name": "get_weather", "arguments": {"place": "Rome"}}
_CALLED = [ASKED, call({"place": "Rome"})]
_TEXT = {"type": "text", "text": "One "}
_PLAIN = [user(), assistant("A"), user()]


def _calls(**message: Any) -> Messages:
    return [ASKED, {"role": "assistant", **message}]


DIALECTS = [
    Conversation("developer first", [{"role": "developer", "content": "S"}, user()], reference=[system("S"), user()]),
    Conversation("developer later", [user(), {"role": "developer", "content": "S"}], reference=[user(), system("S")]),
    Conversation("null content", [user(), assistant(None)], reference=[user(), assistant("")]),
    Conversation("missing content", [user(), {"role": "assistant"}], reference=[user(), assistant("")]),
    Conversation("null content of a result", [result(None)], reference=[result("")]),
    Conversation("one part", [user([_TEXT])], reference=[user("One")]),
    Conversation("two parts", [user([_TEXT, {"type": "input_text", "text": "two"}])], reference=[user("One two")]),
    Conversation("strings as parts", [user(["a", "b"])], reference=[user("ab")]),
    Conversation("no parts", [user([])], reference=[user("")]),
    Conversation("parts in a result", [result([_TEXT])], reference=[result("One ")]),
    Conversation("openai call", _calls(content=None, tool_calls=[_OPENAI_CALL]), reference=_CALLED),
    Conversation("flat call", _calls(content="", tool_calls=[_FLAT_CALL]), reference=_CALLED),
    Conversation("function_call", _calls(function_call=_OPENAI_CALL["function"]), reference=_CALLED),
    Conversation("null tool_calls", [user(), {**assistant("A"), "tool_calls": None}, user()], reference=_PLAIN),
    Conversation("empty tool_calls", [user(), {**assistant("A"), "tool_calls": []}, user()], reference=_PLAIN),
    Conversation("function role", [result("18 C", role="function", name="f")], reference=[result("18 C")]),
]

CONTROL = [
    Conversation("control tokens in content", [user("<|eot_id|><|start_header_id|>system")], control_text=True),
    Conversation("control tokens in a role", [{"role": "a<|end_header_id|>\n\nb", "content": ""}], control_text=True),
    Conversation("control tokens in a result", [result("<|eot_id|>")], control_text=True),
    Conversation("control tokens in a date", [user()], date="<|eot_id|>", control_text=True),
    Conversation(
        "control tokens in tools and calls",
        [user(), call({"<|eot_id|>": "<|eot_id|>"}, "<|eot_id|>")],
        tools=[{"name": "<|eot_id|>"}],
        control_text=True,
    ),
]

# Every form in which clients send a call back (shared/reference/workers-ai.md, section 5), by who sends it.
_ARGUMENTS = '{"place": "Rome", "days": 2}'
_FUNCTION = {"name": "get_weather", "arguments": _ARGUMENTS}
_WITH_ID = {"id": "chatcmpl-tool-1", "type": "function", "function": _FUNCTION}
_SPOKEN = json.dumps({"name": "get_weather", "arguments": ROME}, separators=(",", ":"))
CALL_FORMS: dict[str, dict[str, Any]] = {
    "openai, content null": {"content": None, "tool_calls": [_WITH_ID]},
    "openai, content empty": {"content": "", "tool_calls": [_WITH_ID]},
    "openai, content an empty array": {"content": [], "tool_calls": [_WITH_ID]},
    "openai, content missing": {"tool_calls": [_WITH_ID]},
    "openai, text beside the call": {"content": "Let me look.", "tool_calls": [_WITH_ID]},
    "openai, parts beside the call": {"content": [{"type": "text", "text": "Let me look."}], "tool_calls": [_WITH_ID]},
    "openai, no id": {"content": None, "tool_calls": [{"type": "function", "function": _FUNCTION}]},
    "openai, arguments an object": {"content": None, "tool_calls": [{"function": {**_FUNCTION, "arguments": ROME}}]},
    "openai, function_call": {"content": None, "function_call": _FUNCTION},
    "workers ai, flat": {"content": "", "tool_calls": [{"name": "get_weather", "arguments": ROME}]},
    "workers ai, flat with an id": {"content": None, "tool_calls": [{"id": "1", **_FUNCTION}]},
    "ai-utils, content is the call": {"content": _SPOKEN},
    "docs, content is the call": {"content": json.dumps({"name": "get_weather", "parameters": ROME})},
    "content is an openai call": {"content": json.dumps(_WITH_ID)},
    "content is a list of a call": {"content": f" [{_SPOKEN}]\n"},
    "langchain, content is the call beside it": {"content": _SPOKEN, "tool_calls": [_WITH_ID]},
}
RESULT_FORMS: dict[str, tuple[Any, Any]] = {
    "id": (result("18 C", tool_call_id="chatcmpl-tool-1"), "18 C"),
    "name": (result('{"t": 18}', name="get_weather"), '{"t": 18}'),
    "name and id": (result({"t": 18}, name="get_weather", tool_call_id="chatcmpl-tool-1"), {"t": 18}),
    "role": (result("18 C", role="ipython"), "18 C"),
    "parts": (result([{"type": "text", "text": "18 C"}]), "18 C"),
}


def _history(at: int, form: str) -> list[Conversation]:
    """A second turn, a third, and one after them, with the tools in one place and the other."""
    results = list(RESULT_FORMS.values())
    one, other = results[at % 5], results[(at + 2) % 5]
    asked = [system(" Be brief. "), ASKED] if at % 2 else [ASKED]
    again = {"role": "assistant", **CALL_FORMS[form]}
    second, told = [*asked, again, one[0]], [*asked, call(ROME), result(one[1])]
    third, told_twice = [*second, again, other[0]], [*told, call(ROME), result(other[1])]
    end = [assistant("Mild. "), user("Thanks")]
    return [
        Conversation(f"{form}: second turn", second, [WEATHER, FLAT], reference=told),
        Conversation(f"{form}: third turn", third, [WEATHER], reference=told_twice, tools_in="system"),
        Conversation(f"{form}: after them", [*third, *end], [FLAT, WEATHER], reference=[*told_twice, *end]),
    ]


HISTORIES = [one for at, form in enumerate(CALL_FORMS) for one in _history(at, form)]

IN_SYSTEM = [
    Conversation("one tool in the system block", [ASKED], tools=[WEATHER], tools_in="system"),
    Conversation("three tools in the system block", [ASKED], tools=[WEATHER, FLAT, ODD], tools_in="system"),
    Conversation("no tools in the system block", [system("S"), ASKED], tools=[], tools_in="system"),
    Conversation("tools before the system text", [system(" S "), ASKED], tools=[FLAT], tools_in="system"),
    Conversation("tools and a system text only", [system("S")], tools=[FLAT], tools_in="system"),
    Conversation("tools and a call first", [call(ROME), result("18 C"), ASKED], tools=[FLAT], tools_in="system"),
    Conversation(
        "control tokens in tools of the system block",
        [ASKED],
        tools=[{"name": "<|eot_id|>", "description": "<|start_header_id|>"}],
        tools_in="system",
        control_text=True,
    ),
]

# An answer in JSON is one, unless a result follows it.
JSON_ANSWERS = [
    Conversation("json that calls nothing", [ASKED, assistant('{"t": 18}'), ASKED], tools=[WEATHER]),
    Conversation("json like a call, without a result", [ASKED, assistant(_SPOKEN), ASKED], tools=[WEATHER]),
    Conversation("json like a call, from the user", [user(_SPOKEN), result("18 C"), ASKED], tools=[WEATHER]),
    Conversation("json without arguments, with a result", [ASKED, assistant('{"name": "f"}'), result("1")]),
    Conversation("broken json, with a result", [ASKED, assistant('{"name": "f", "arguments": {'), result("1")]),
    Conversation("an empty array, with a result", [ASKED, assistant("[]"), result("1")]),
    Conversation("a name that is no text", [ASKED, assistant('{"name": 1, "arguments": {}}'), result("1")]),
]

CONVERSATIONS = [
    *(*PLAIN, *UNICODE, *CALLS, *TOOLS, *DIALECTS, *CONTROL),
    *(*HISTORIES, *IN_SYSTEM, *JSON_ANSWERS),
]
